"""`bascule policy simulate`: recorded calls, decided again by other rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.durations import seconds_of
from bascule.cli.output import cell, emit
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option

if TYPE_CHECKING:
    from bascule.app.replay import Replay, Replayed

FOUND = 1
"""Exit code: some calls would be decided otherwise."""
_COLOURS = {"allow": "green", "approve": "yellow", "deny": "red"}


@click.command()
@click.argument("candidate", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How far back, as 90m, 12h or 7d.",
)
@as_json_option
@click.pass_context
def simulate(ctx: click.Context, candidate: Path, since: str, as_json: bool) -> None:
    """Decide recorded calls again by the rights of CANDIDATE; exit 1 when some differ.

    CANDIDATE is a configuration file, or a folder with a `bascule.toml`. Only its toolsets,
    labels, roles, ceilings, scopes, call approvals and flows count, and the policies beside
    it; connectors and what is approved of them stay as they are, and so do grants.
    """
    from dataclasses import replace

    from bascule.app.candidates import read_candidate, snapshot_with_rights_of
    from bascule.app.recorded import kept_arguments, recorded_calls
    from bascule.app.replay import observing, replay
    from bascule.cli.audit_records import log_files
    from bascule.clock import UnixTime, system_clock
    from bascule.decision.snapshot import with_gates

    context: CommandContext = ctx.obj
    config, now = context.config(), system_clock()
    live = context.snapshot(config)
    live = with_gates(live, observing(live.gates))
    tried = snapshot_with_rights_of(config, read_candidate(candidate), live)
    begin = UnixTime(now - seconds_of(since, option="--since"))
    with Line() as line:
        found = replay(
            recorded_calls(log_files(context), since=begin, until=UnixTime(now + 1)),
            kept_arguments(context.place()),
            tried,
            replace(live, shadow=None),
            progress=lambda calls: line.say(f"deciding again: {calls} calls"),
        )
    emit(
        {
            "since": begin,
            "calls": found.calls,
            "same": found.same,
            "differences": [msgspec.to_builtins(it) for it in found.differences],
            "undecided": found.undecided,
        },
        text="\n".join(_lines(found, since)),
        as_json=as_json,
    )
    ctx.exit(FOUND if found.differences else 0)


def _lines(found: Replay, since: str) -> Iterator[str]:
    unlike = sum(it.calls for it in found.differences)
    alike = f"{found.same} are decided alike, {unlike} otherwise"
    yield f"{found.calls} calls in {since}: {alike}"
    for it in found.differences:
        yield click.style(f"  {_line(it)}", fg=_COLOURS.get(it.candidate))
    for why, calls in found.undecided.items():
        yield f"  {calls} cannot be decided again: {why}"


def _line(it: Replayed) -> str:
    who = cell(it.user or "by itself")
    what = cell(f"{it.connector}/{it.name}")
    why = cell(" ".join((it.candidate_reason, *it.policies)))
    beside = f"; so do the rights in force now ({it.now})" if it.now == it.candidate else ""
    return (
        f"{it.calls} x {who} through {cell(it.agent)}: {what} "
        f"{it.recorded} -> {it.candidate} ({why}{beside}); last in record {it.record}"
    )
