"""Options that all scans have."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from bascule.errors import BasculeError
from bascule.scan.rule import SEVERITIES, Severity

if TYPE_CHECKING:
    from bascule.scan.baseline import Accepted

F = TypeVar("F", bound=Callable[..., Any])
Threshold = Severity | Literal["never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """How a scan is reported."""

    as_json: bool
    fail_on: Threshold
    baseline: tuple[Accepted, ...] = ()
    write_baseline: Path | None = None
    files: tuple[tuple[str, Path], ...] = ()
    """Reports that are written beside what is printed: format and file."""


def report_options(command: F) -> F:
    """Add what says how a scan is reported; it comes as `report: ReportOptions`.

    A baseline is read, and it is looked whether reports can be written, before anything is
    scanned.
    """

    @wraps(command)
    def run(
        *args: Any,
        as_json: bool,
        fail_on: Threshold,
        baseline: Path | None,
        write_baseline: Path | None,
        **kwargs: Any,
    ) -> Any:
        files = [(it, kwargs.pop(it)) for it in FORMATS]
        for path in (write_baseline, *(path for _, path in files)):
            _require_folder(path)
        _spare(write_baseline, baseline)
        options = ReportOptions(
            as_json=as_json,
            fail_on=fail_on,
            baseline=_read(baseline),
            write_baseline=write_baseline,
            files=tuple((name, path) for name, path in files if path is not None),
        )
        return command(*args, report=options, **kwargs)

    for option in reversed(_REPORTED):
        run = option(run)
    return run  # type: ignore[return-value]  # the options are taken off again


def _require_folder(path: Path | None) -> None:
    """Raise `BasculeError` where a report could not be written after a long scan."""
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise BasculeError(f"cannot write `{path}`: its folder does not exist")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise BasculeError(f"cannot write `{path}`: you may not write there")


def _spare(new: Path | None, read: Path | None) -> None:
    """Refuse to write over reasons that have not been read."""
    if new is None or not new.exists():
        return
    if read is None or not read.exists() or not read.samefile(new):
        raise BasculeError(
            f"`{new}` is there: give it as --baseline too, so that its reasons are kept, "
            "or name another file"
        )


def _read(path: Path | None) -> tuple[Accepted, ...]:
    from bascule.clock import system_clock
    from bascule.scan.baseline import LARGEST, day_of, read_baseline

    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode()
    except OSError as exc:
        raise BasculeError(f"cannot read the baseline `{path}`: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise BasculeError(f"the baseline `{path}` is no text in UTF-8") from exc
    if len(content) > LARGEST:
        raise BasculeError(f"the baseline `{path}` is larger than {LARGEST} bytes")
    return read_baseline(text, source=str(path), today=day_of(system_clock()))


FORMATS = {
    "sarif": "Also write SARIF 2.1.0, for code scanning.",
    "junit": "Also write JUnit XML.",
    "html": "Also write a page of one file, with a map.",
}
_FILE = click.Path(dir_okay=False, path_type=Path)
_REPORTED = (
    *(
        click.option(f"--{name}", type=_FILE, metavar="FILE", help=text)
        for name, text in FORMATS.items()
    ),
    click.option(
        "--baseline",
        type=_FILE,
        metavar="FILE",
        help="Findings that are accepted: reported, and not counted.",
    ),
    click.option(
        "--write-baseline",
        type=_FILE,
        metavar="FILE",
        help="Write a baseline of what is found; each entry then needs a reason.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice([*SEVERITIES, "never"]),
        default="low",
        show_default=True,
        help="Exit 1 when a finding is as bad as this, or worse.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
)
