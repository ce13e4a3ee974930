"""`bascule grant list`: what was granted, and what nobody uses."""

from __future__ import annotations

import datetime

import click
from msgspec import Struct, structs

from bascule.cli.context import CommandContext
from bascule.cli.output import emit_rows
from bascule.cli.user import as_json_option
from bascule.clock import UnixTime, system_clock
from bascule.storage import access_grants
from bascule.storage.access_grants import AccessGrant, State

COLUMNS = ("grant", "state", "user", "agent", "tools", "until", "reason")


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
@as_json_option
@click.pass_obj
def listed(context: CommandContext, everything: bool, as_json: bool) -> None:
    """List what is granted, and what waits for a decision."""
    now = system_clock()
    rows = [shown(it, now) for it in context.store().read(access_grants.every)]
    if not everything:
        rows = [it for it in rows if it["state"] in {"active", "requested"}]
    if not as_json:
        rows = [{**row, "until": _time(row["until"])} for row in rows]
    emit_rows(rows, columns=COLUMNS, as_json=as_json)


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
