"""`bascule grant`: rights outside of roles, each for a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from bascule.app.granting import (
    GrantError,
    above_ceiling,
    connector_of,
    refuse_unshared,
    require_state,
)
from bascule.app.state import os_user
from bascule.cli.context import CommandContext
from bascule.cli.durations import duration, seconds_of
from bascule.cli.foreigners import foreign_agent
from bascule.cli.grant_list import listed, shown
from bascule.cli.output import emit, printable
from bascule.cli.revoke import require_text, user_key
from bascule.cli.user import as_json_option
from bascule.clock import UnixTime, new_id, system_clock, system_micros
from bascule.storage import access_grants, access_requests
from bascule.storage.access_grants import MAX_SECONDS, AccessGrant, Decision, State
from bascule.storage.access_requests import Wanted
from bascule.storage.store import Transaction

for_option = click.option(
    "--for", "length", required=True, help="For how long: 30m, 4h or 7d; 30d at most."
)
reason_option = click.option("--reason", required=True, help="Why; goes into the log.")


class Grants(click.Group):
    """A group whose options, without a command, are those of `create`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `grant --user …` as `grant create --user …`."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Grants)
def grant() -> None:
    """Give rights for a time: `bascule grant --user … --tool … --for 4h --reason …`."""


def _what_is_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say who is to have what."""
    options = (
        click.option("--user", help="Who may use it."),
        click.option(
            "--agent", help="Through which alone; without --user, the agent by itself."
        ),
        click.option(
            "--tool",
            "entries",
            multiple=True,
            required=True,
            help="CONNECTOR/TOOL, or another entry as in roles; repeatable.",
        ),
        for_option,
        reason_option,
        as_json_option,
        click.pass_obj,
    )
    for option in reversed(options):
        command = option(command)
    return command


@grant.command()
@_what_is_wanted
def create(context: CommandContext, **given: Any) -> None:
    """Give a right for a time; it never lifts a ceiling or a scope."""
    now, wanted = system_clock(), _wanted(context, **given)
    grant_id, config = new_id(system_micros()), context.config()
    _record(context, "grant", grant_id, wanted, wanted.reason)

    def work(conn: Transaction) -> AccessGrant | None:
        # Again, where nobody else can grant anything meanwhile.
        refuse_unshared(config, wanted, access_grants.in_force(conn, now=now))
        by, reason = os_user(), wanted.reason
        if access_requests.ask(conn, grant_id, wanted, by=by, now=now) is None:
            return None
        return access_requests.decide(
            conn, grant_id, "grant", by=by, reason=reason, now=now
        )

    _tell(_enabled(context.change(work)), now, as_json=given["as_json"])


@grant.command()
@_what_is_wanted
def request(context: CommandContext, **given: Any) -> None:
    """Ask for a right for a time: somebody has to approve it."""
    now, wanted = system_clock(), _wanted(context, **given)
    grant_id = new_id(system_micros())
    _record(context, "request", grant_id, wanted, wanted.reason)
    ask = partial(access_requests.ask, grant_id=grant_id, wanted=wanted, by=os_user())
    _tell(_enabled(context.change(partial(ask, now=now))), now, as_json=given["as_json"])


@grant.command()
@click.argument("grant_id")
@click.option("--for", "length", help="For less time than was asked for.")
@reason_option
@as_json_option
@click.pass_obj
def approve(
    context: CommandContext, grant_id: str, length: str | None, reason: str, as_json: bool
) -> None:
    """Give what was asked for, from now on."""
    seconds = None if length is None else seconds_of(length, option="--for")
    _decide(context, grant_id, "grant", reason, seconds, as_json=as_json)


@grant.command()
@click.argument("grant_id")
@reason_option
@as_json_option
@click.pass_obj
def deny(context: CommandContext, grant_id: str, reason: str, as_json: bool) -> None:
    """Refuse what was asked for."""
    _decide(context, grant_id, "deny", reason, None, as_json=as_json)


@grant.command()
@click.argument("grant_id")
@reason_option
@as_json_option
@click.pass_obj
def end(context: CommandContext, grant_id: str, reason: str, as_json: bool) -> None:
    """End a right before its time, or withdraw a request: within two seconds."""
    require_text(reason, "--reason")
    now = system_clock()
    found = _require(context, grant_id, ("active", "requested"), now)
    _record(context, "end", grant_id, _wanted_by(found), reason)
    ended = context.change(
        partial(access_grants.end, grant_id=grant_id, reason=reason, now=now)
    )
    if not ended:
        raise GrantError(f"`{grant_id}` ended a moment ago")
    _tell(_require(context, grant_id, ("ended",), now), now, as_json=as_json)


grant.add_command(listed)


def _wanted(
    context: CommandContext,
    *,
    user: str | None,
    agent: str | None,
    entries: tuple[str, ...],
    length: str,
    reason: str,
    as_json: bool,
) -> Wanted:
    """Read and check what the options ask for. Raises `GrantError`, `click.UsageError`."""
    del as_json
    require_text(reason, "--reason")
    if user is None and agent is None:
        raise click.UsageError("name --user, --agent or both")
    if agent is not None:
        require_text(agent, "--agent")
        foreign_agent(agent)
    seconds = seconds_of(length, option="--for")
    if seconds > MAX_SECONDS:
        raise click.BadParameter(f"{duration(MAX_SECONDS)} at most", param_hint="--for")
    config = context.config()
    snapshot = context.snapshot(config)
    wanted = Wanted(
        user=None if user is None else user_key(user),
        agent=agent,
        connector=connector_of(config, entries, snapshot.gates),
        entries=entries,
        seconds=seconds,
        reason=reason,
    )
    refuse_unshared(config, wanted, snapshot.grants)
    enabled = partial(access_requests.is_enabled, user=wanted.user, agent=agent)
    if not context.store().read(enabled):
        raise GrantError(
            "there is no such user, or no such agent, that is enabled: `bascule user list` "
            "and `bascule agent list` show who there is"
        )
    if agent is not None:
        for text in above_ceiling(wanted, agent, snapshot, system_clock()):
            click.echo(
                f"warning: the ceiling of `{agent}` does not reach `{text}`, and a grant "
                "lifts no ceiling: see `[agents.ceilings]`",
                err=True,
            )
    return wanted


def _decide(
    context: CommandContext,
    grant_id: str,
    decision: Decision,
    reason: str,
    seconds: int | None,
    *,
    as_json: bool,
) -> None:
    require_text(reason, "--reason")
    now = system_clock()
    wanted = _wanted_by(_require(context, grant_id, ("requested",), now))
    config = context.config()
    if decision == "grant":
        # What was possible when it was asked for may not be any more.
        snapshot = context.snapshot(config)
        connector_of(config, wanted.entries, snapshot.gates)
        refuse_unshared(config, wanted, snapshot.grants)
    _record(context, decision, grant_id, wanted, reason, seconds)
    decide = partial(access_requests.decide, grant_id=grant_id, decision=decision)
    by = os_user()

    def work(conn: Transaction) -> AccessGrant | None:
        if decision == "grant":
            refuse_unshared(config, wanted, access_grants.in_force(conn, now=now))
        return decide(conn, seconds=seconds, by=by, reason=reason, now=now)

    _tell(_enabled(context.change(work)), now, as_json=as_json)


def _require(
    context: CommandContext, grant_id: str, states: tuple[State, ...], now: UnixTime
) -> AccessGrant:
    found = context.store().read(partial(access_grants.find, grant_id=grant_id))
    return require_state(found, grant_id, states, now)


def _wanted_by(it: AccessGrant) -> Wanted:
    return Wanted(it.user, it.agent, it.connector, it.entries, it.seconds, it.reason)


def _record(
    context: CommandContext,
    what: str,
    grant_id: str,
    wanted: Wanted,
    reason: str,
    seconds: int | None = None,
) -> None:
    length = wanted.seconds if seconds is None else min(seconds, wanted.seconds)
    admin = {"grant": grant_id, "for": str(length), "reason": reason}
    context.record_admin(
        f"access.{what}",
        {**admin, "tools": " ".join(wanted.entries)},
        user=wanted.user,
        agent=wanted.agent,
        connector=wanted.connector,
    )


def _enabled(found: AccessGrant | None) -> AccessGrant:
    if found is None:
        raise GrantError(
            "its user or agent is not enabled, or it was decided a moment ago: `bascule "
            "user list`, `bascule agent list` and `bascule grant list` show what there is"
        )
    return found


def _tell(found: AccessGrant, now: UnixTime, *, as_json: bool) -> None:
    value = shown(found, now)
    whom = found.user or f"agent {found.agent}"
    text = f"{value['state']} {found.id}: {whom} {' '.join(found.entries)}"
    if value["state"] in {"active", "requested"}:
        text += f" for {duration(found.seconds)}"
    emit(value, text=printable(text), as_json=as_json)
