"""`bascule grant list`: what was granted, and what nobody uses."""

from __future__ import annotations

import datetime

import click
from msgspec import Struct, structs

from bascule.app.recertification import unused, uses_since
from bascule.cli.audit_records import log_files
from bascule.cli.context import CommandContext
from bascule.cli.durations import seconds_of
from bascule.cli.output import emit_rows
from bascule.cli.user import as_json_option
from bascule.clock import UnixTime, system_clock
from bascule.storage import access_grants
from bascule.storage.access_grants import AccessGrant, State

COLUMNS = ("grant", "state", "user", "agent", "tools", "until", "reason")
UNUSED_COLUMNS = ("grant", "role", "member", "tools", "until", "last_used")


class ShownGrant(Struct):
    """`grant`, `grant list`: a right for a time. Times are seconds since 1970."""

    grant: str
    state: State
    user: str | None
    """None: the agent by itself."""
    agent: str | None
    """None: through any agent."""
    connector: str
    tools: tuple[str, ...]
    seconds: int
    """For how long, from the decision on."""
    until: int
    """When it is over; before the decision, until when it waits for one."""
    reason: str
    requested_by: str
    requested_at: int
    decided_by: str | None
    decided_at: int | None
    decision_reason: str | None
    ended_at: int | None
    end_reason: str | None


@click.command(name="list")
@click.option("--all", "everything", is_flag=True, help="What is over, too.")
@click.option(
    "--unused",
    "length",
    help="Instead what nobody used for so long, of grants and of roles: 30d.",
)
@as_json_option
@click.pass_obj
def listed(
    context: CommandContext, everything: bool, length: str | None, as_json: bool
) -> None:
    """List what is granted and what waits for a decision; or what nobody uses."""
    now = system_clock()
    if length is not None:
        if everything:
            raise click.UsageError("--unused is not of what is over: leave out --all")
        seconds = seconds_of(length, option="--unused")
        _list_unused(context, UnixTime(now - seconds), now, as_json=as_json)
        return
    rows = [shown(it, now) for it in context.store().read(access_grants.every)]
    if not everything:
        rows = [it for it in rows if it["state"] in {"active", "requested"}]
    if not as_json:
        rows = [{**row, "until": _time(row["until"])} for row in rows]
    emit_rows(rows, columns=COLUMNS, as_json=as_json)


def _list_unused(
    context: CommandContext, since: UnixTime, now: UnixTime, *, as_json: bool
) -> None:
    config = context.config()
    grants = context.store().read(access_grants.every)
    uses = uses_since(log_files(context), since)
    if uses.begin is None or uses.begin > since:
        began = "is empty" if uses.begin is None else f"begins at {_time(uses.begin)}"
        click.echo(f"warning: the log {began}: uses before that are not known", err=True)
    rows = [structs.asdict(it) for it in unused(config, grants, uses, now=now)]
    if not as_json:
        times = ("until", "last_used")
        rows = [
            {key: _time(it) if key in times and it else it for key, it in row.items()}
            for row in rows
        ]
    emit_rows(rows, columns=UNUSED_COLUMNS, as_json=as_json)


def shown(it: AccessGrant, now: UnixTime) -> dict[str, object]:
    """Write a grant as commands print it."""
    return structs.asdict(
        ShownGrant(
            grant=it.id,
            state=it.state(now),
            user=it.user,
            agent=it.agent,
            connector=it.connector,
            tools=it.entries,
            seconds=it.seconds,
            until=it.expires_at,
            reason=it.reason,
            requested_by=it.requested_by,
            requested_at=it.requested_at,
            decided_by=it.decided_by,
            decided_at=it.decided_at,
            decision_reason=it.decision_reason,
            ended_at=it.ended_at,
            end_reason=it.end_reason,
        )
    )


def _time(seconds: object) -> str:
    assert isinstance(seconds, int)  # noqa: S101 - narrows for mypy
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M}Z"
