"""Problems as GitHub Actions marks them at the lines of a pull request."""

from __future__ import annotations

import click

from bascule.cli.output import printable

as_github_option = click.option(
    "--github",
    "as_github",
    is_flag=True,
    help="Print problems as annotations of GitHub Actions.",
)


def annotation(file: str, line: int, severity: str, message: str) -> str:
    """Write a workflow command; whatever a file says, it is one, and no other.

    Escapes are those of the runner (`@actions/core`, `command.ts`). What a terminal or the
    page of a run would obey is written out.
    """
    where, said = _property(printable(file)), _data(printable(message))
    return f"::{severity} file={where},line={line}::{said}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
