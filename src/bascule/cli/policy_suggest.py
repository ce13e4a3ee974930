"""`bascule policy suggest`: the least rights that cover what was used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.durations import seconds_of
from bascule.cli.output import cell, emit
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.app.suggestion import Cut, Suggestion
    from bascule.app.usage import Usage
    from bascule.decision.snapshot import Snapshot


@click.command()
@click.option(
    "--since",
    default="30d",
    show_default=True,
    metavar="TIME",
    help="How far back use counts, as 12h or 30d.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="New folder for the configuration with these rights, and the policies.",
)
@as_json_option
@click.pass_obj
def suggest(
    context: CommandContext, since: str, output: Path | None, as_json: bool
) -> None:
    """Narrow roles and ceilings to what was used; say who may miss what.

    Nothing is put in force, and nothing is ever wider than it is now. Look at the result
    with `policy diff` and `policy simulate`, and try it out with `[shadow]`.
    """
    from dataclasses import replace

    from bascule.app.narrowed_config import write_narrowed
    from bascule.app.replay import observing
    from bascule.app.suggestion import suggest as suggested
    from bascule.clock import UnixTime, system_clock
    from bascule.decision.snapshot import with_gates

    config, now = context.config(), system_clock()
    live = context.snapshot(config)
    live = replace(with_gates(live, observing(live.gates)), shadow=None)
    begin = UnixTime(now - seconds_of(since, option="--since"))
    usage, unread = _usage(context, live, begin, UnixTime(now + 1))
    if not usage.calls:
        raise BasculeError(
            f"nothing was used in {since} that the rights in force allow: a suggestion "
            "would cut everything; choose a longer time with --since"
        )
    found = suggested(config, live, usage)
    if output is not None:
        write_narrowed(context.config_path, found.config, context.policy_files(), output)
    emit(
        {
            "since": begin,
            "calls": usage.calls,
            "roles": {name: list(it.allow) for name, it in found.config.roles.items()},
            "default_ceiling": list(found.config.agents.default_ceiling),
            "ceilings": msgspec.to_builtins(found.config.agents.ceilings),
            "cuts": [msgspec.to_builtins(it) for it in found.cuts],
            "idle": [msgspec.to_builtins(it) for it in found.idle],
            "unused": found.unused,
            "unread": unread,
            "output": None if output is None else str(output),
        },
        text="\n".join(_lines(found, usage, unread, since, output)),
        as_json=as_json,
    )


def _usage(
    context: CommandContext, live: Snapshot, begin: int, until: int
) -> tuple[Usage, dict[str, int]]:
    """Read what was used; and of how many allowed calls that cannot be told, by why."""
    from bascule.app.recorded import FOR_SOME_CALLS, recorded_calls
    from bascule.app.usage import Usage
    from bascule.cli.audit_records import log_files
    from bascule.clock import UnixTime

    usage, unread = Usage(), Counter[str]()
    with Line() as line:
        calls = recorded_calls(log_files(context), since=UnixTime(0), until=UnixTime(until))
        for done, call in enumerate(calls, 1):
            line.say(f"reading the log: {done} calls")
            if call.outcome != "allow":
                continue
            if call.missing and call.missing != FOR_SOME_CALLS:
                unread[call.missing] += 1
                continue
            usage.note(call, live, recent=call.facts.now >= begin)
    return usage, dict(unread)


def _lines(
    found: Suggestion,
    usage: Usage,
    unread: Mapping[str, int],
    since: str,
    output: Path | None,
) -> Iterator[str]:
    yield f"{usage.calls} allowed calls in {since} need less than what is given:"
    for cut in found.cuts:
        yield f"  {_line(cut)}"
    if not found.cuts:
        yield "  nothing: every entry is as narrow as what was used"
    for it in found.idle:
        rest = ", ".join(it.entries)
        text = f"{it.user} did not use {rest} of roles.{it.role}"
        yield f"  {cell(text)}: a role of its own would be narrower"
    for name in found.unused:
        yield f"  policy `{cell(name)}` permitted nothing of it; it stays"
    for why, calls in unread.items():
        yield f"  {calls} allowed calls do not count, and may be missed: {why}"
    yield _next(output)


def _line(cut: Cut) -> str:
    change = f"-> {', '.join(cut.kept)}" if cut.kept else "was not used"
    who = f"held by {', '.join(cut.held_by) or 'nobody'}"
    missed = "nobody ever used what is cut"
    if cut.last_used is not None:
        when = f"{datetime.fromtimestamp(cut.last_used, UTC):%Y-%m-%d}"
        missed = f"used before by {', '.join(cut.missed_by)}, last {when}"
    return cell(f"{cut.table}: {cut.entry} {change}; {who}; {missed}")


def _next(output: Path | None) -> str:
    if output is None:
        return "write it with --output FOLDER"
    return f"written to {output}: look at it with `bascule policy diff . {output}`"
