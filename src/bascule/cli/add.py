"""`bascule add`: one more connector in `bascule.toml`, locked."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import click
import tomlkit

from bascule.app.config_file import change_text
from bascule.cli.context import CommandContext
from bascule.cli.lock import COOLDOWN, locking, row_of, tell_warnings, write_drafts
from bascule.cli.output import emit, printable
from bascule.cli.progress import Line
from bascule.config.load import load
from bascule.errors import BasculeError
from bascule.lock.resolver import NothingFoundError

MAX_RECORDED_CHARACTERS = 1000


class _WithCommand(click.Command):
    """A command that takes another one, whole, after `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows `--` apart: its options are not ours."""
        end = args.index("--") if "--" in args else len(args)
        ctx.params["command"] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@click.command(cls=_WithCommand)
@click.argument("name")
@click.argument("url", required=False, metavar="URL | -- COMMAND...")
@click.option("--owner", help="Team that answers for it.")
@COOLDOWN
@click.option("--no-lock", is_flag=True, help="Only write the configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def add(
    context: CommandContext,
    *,
    name: str,
    url: str | None,
    command: tuple[str, ...],
    owner: str | None,
    cooldown_days: int | None,
    no_lock: bool,
    as_json: bool,
) -> None:
    """Write a connector into the configuration: a URL, or a COMMAND after `--`.

    Then lock it as `bascule lock` does. It is served when it is approved (`bascule approve
    NAME`), and to whom a role says. A running server takes it up on SIGHUP. The log has the
    record of it before the file changes.
    """
    if (url is None) == (not command):
        raise click.UsageError("give a URL, or `--` and a COMMAND")
    settings = {
        "url": url,
        "command": list(command) or None,
        "owner": owner,
        "mode": "enforce",
    }
    given = {key: value for key, value in settings.items() if value is not None}
    path = context.config_path

    texts: dict[str, str] = {}

    def recorded_change(text: str) -> str:
        changed = with_connector(text, source=str(path), name=name, settings=given)
        context.record_admin("connector.add", _recorded(url, command), connector=name)
        texts[changed] = text
        return changed

    change_text(path, recorded_change)
    try:
        locked = None if no_lock else _locked(context, name, cooldown_days)
    except NothingFoundError:
        # There is no such package: nobody could do anything with what was added.
        context.record_admin("connector.remove", {"reason": "not found"}, connector=name)
        change_text(path, lambda text: texts.get(text, text))
        raise
    emit(
        {"connector": name, **settings, "config": str(path), "locked": locked},
        text=f"added {name} to {path}: {_next_step(name, locked)}",
        as_json=as_json,
    )


def _locked(
    context: CommandContext, name: str, cooldown_days: int | None
) -> dict[str, object] | None:
    """Lock a connector that was added; None when that cannot be done now.

    The connector stays where it is, and nobody is served before it is approved. Raises
    `NothingFoundError`.
    """
    from bascule.app.locking import draft

    try:
        with (
            Line() as line,
            locking(context, context.config(), line, cooldown_days) as place,
        ):
            made = draft(place, name)
            write_drafts(context, place, [made])
    except NothingFoundError:
        raise
    except BasculeError as exc:
        problem = f"warning: {name} is not locked: {printable(str(exc))}"
        click.secho(problem, fg="yellow", err=True)
        return None
    tell_warnings(made)
    return row_of(made)


def _next_step(name: str, locked: dict[str, object] | None) -> str:
    if locked is None:
        return f"lock it with `bascule lock {name}`"
    if locked["tools"] is None:
        return f"locked, but what it serves is not known; see above, `bascule lock {name}`"
    return f"locked; look at it with `bascule diff {name}`, then `bascule approve {name}`"


def with_connector(text: str, *, source: str, name: str, settings: dict[str, Any]) -> str:
    """Put a connector behind what is there, which stays as it is, comments included.

    Raises `BasculeError` when there is one of that name, and `ConfigError` when the text
    was not valid before or would not be valid after.
    """
    if name in load(text, source=source).connectors:
        raise BasculeError(
            f"connector `{name}` exists: change it in `{source}`, or choose another name"
        )
    table = tomlkit.dumps({"connectors": {name: settings}})
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    changed = text + gap + table
    load(changed, source=f"connector {name}")
    return changed


def _recorded(url: str | None, command: tuple[str, ...]) -> dict[str, str]:
    """Say what was added, without the parts that people put secrets into."""
    if url is None:
        return {"program": command[0][:MAX_RECORDED_CHARACTERS]}
    parts = urlsplit(url)
    return {"url": f"{parts.scheme}://{parts.netloc}{parts.path}"[:MAX_RECORDED_CHARACTERS]}
