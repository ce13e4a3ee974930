"""Users and agents of foreign issuers, on the command line."""

from __future__ import annotations

from functools import partial
from typing import Literal

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.clock import system_clock
from bascule.errors import BasculeError
from bascule.storage import foreigners
from bascule.storage.foreigners import Foreigner

MAX_CHARACTERS = 2000


def foreign_user(text: str) -> Foreigner | None:
    """Read `user:ISSUER|SUB`; None for a local user. Raises `click.UsageError`."""
    if "|" not in text:
        return None
    issuer, _, subject = text.removeprefix("user:").rpartition("|")
    if not (
        text.startswith("user:") and issuer and subject and len(text) <= MAX_CHARACTERS
    ):
        raise click.UsageError(
            f"`{text}` is no user: write `alice`, `user:alice` or `user:ISSUER|SUB`"
        )
    return Foreigner("user", text)


def foreign_agent(text: str) -> Foreigner | None:
    """Read `ISSUER|CLIENT_ID`; None for an agent of ours. Raises `click.UsageError`."""
    if "|" not in text:
        return None
    issuer, _, client = text.rpartition("|")
    if not (issuer and client and len(text) <= MAX_CHARACTERS):
        raise click.UsageError(
            f"`{text}` is no agent: write its client id, or ISSUER|CLIENT"
        )
    return Foreigner("agent", text)


def disable(context: CommandContext, who: Foreigner, *, as_json: bool) -> None:
    """Let one in no more."""
    _record(context, who, "disable")
    context.change(partial(foreigners.disable, who=who, now=system_clock()))
    _say(who, "disabled", disabled=True, as_json=as_json)


def enable(context: CommandContext, who: Foreigner, *, as_json: bool) -> None:
    """Let one in again."""
    if not context.store().read(partial(foreigners.is_kept_out, who=who)):
        raise BasculeError(
            f"`{who.key}` is not disabled: `bascule {who.kind} list` shows who is"
        )
    _record(context, who, "enable")
    context.change(partial(foreigners.enable, who=who, now=system_clock()))
    _say(who, "enabled", disabled=False, as_json=as_json)


def listed(context: CommandContext, kind: Literal["user", "agent"]) -> list[str]:
    """Give the names of those that are disabled."""
    found = context.store().read(foreigners.every)
    return [who.key for who in found if who.kind == kind]


def _record(context: CommandContext, who: Foreigner, what: str) -> None:
    context.record_admin(
        f"{who.kind}.{what}",
        {},
        user=who.key if who.kind == "user" else None,
        agent=who.key if who.kind == "agent" else None,
    )


def _say(who: Foreigner, what: str, *, disabled: bool, as_json: bool) -> None:
    value = {who.kind: who.key, "disabled": disabled}
    emit(value, text=f"{what} {who.key}", as_json=as_json)
