"""The facts of one call, from a file or from options."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta, Struct

from bascule.cli.context import CommandContext
from bascule.clock import UnixTime, system_clock
from bascule.decision.compile import BUILT_IN_SCOPE
from bascule.decision.decide import KINDS
from bascule.decision.decide_many import METHODS
from bascule.decision.entries import TargetKind
from bascule.decision.facts import CallFacts, Kind, Principal
from bascule.decision.gate import as_approved
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError
from bascule.storage import users


class FactsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of one call, as `bascule decide` reads them."""

    agent: str
    connector: str
    method: str
    now: int | Annotated[datetime.datetime, Meta(tz=True)]
    """Seconds since 1970-01-01T00:00:00Z, or a time as in RFC 3339."""
    user: str | None = None
    """`user:alice`, or `alice`; absent when the agent acts by itself."""
    groups: tuple[str, ...] = ()
    """`group:support`, or `support`."""
    scopes: tuple[str, ...] = ()
    name: str = ""
    kind: Kind | None = None
    """What `name` names; needed where the method does not say it."""
    arguments: dict[str, Any] | None = None
    """Of the call; absent: not known, and then the answer may be `maybe`."""
    touched: tuple[str, ...] = ()
    """Labels of what was touched before; looked at with `arguments` alone."""
    agent_verified: bool = False
    actors: tuple[str, ...] = ()
    """Agents through which `agent` acts: `ISSUER|CLIENT_ID`."""
    definition: str | None = None
    """Digest of what the server serves under that name; absent: of what was approved."""
    address: str | None = None
    """Of the client; absent: not known, and then no boundary is held against it."""


class CallOptions(Struct, frozen=True):
    """The same as options; what is absent is found out."""

    user: str | None
    groups: tuple[str, ...]
    agent: str
    scopes: tuple[str, ...]
    kind: TargetKind
    use: str
    """`CONNECTOR/NAME`."""
    arguments: str | None
    """JSON."""
    touched: tuple[str, ...]
    """Labels; looked at with `arguments` alone."""
    at: str | None
    """RFC 3339."""


def as_served(facts: CallFacts, snapshot: Snapshot) -> CallFacts:
    """Take it that the server serves what was approved, unless the facts say otherwise."""
    return as_approved(facts, snapshot.gates.get(facts.connector))


def read_facts(path: Path) -> CallFacts:
    """Read a file of facts. Raises `BasculeError`."""
    try:
        read = msgspec.json.decode(path.read_bytes(), type=FactsFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BasculeError(f"`{path}` is not the facts of a call: {exc}") from exc
    principal = Principal(
        user=read.user and _prefixed("user:", read.user),
        agent=read.agent,
        groups=frozenset(_prefixed("group:", group) for group in read.groups),
        scopes=frozenset(read.scopes),
        agent_verified=read.agent_verified,
        actors=read.actors,
    )
    now = read.now if isinstance(read.now, int) else int(read.now.timestamp())
    return CallFacts(
        principal,
        read.connector,
        read.method,
        read.kind or _kind_of(read.method),
        read.name,
        UnixTime(now),
        read.definition,
        read.arguments,
        frozenset(read.touched),
        address=read.address,
    )


def facts_of_options(context: CommandContext, given: CallOptions) -> CallFacts:
    """Make facts of options: groups of a local account, the built-in scope, and now.

    Raises `click.UsageError`.
    """
    connector, slash, name = given.use.partition("/")
    if not (connector and slash and name):
        raise click.UsageError(f"`{given.use}` is not of the form CONNECTOR/NAME")
    user = given.user and _prefixed("user:", given.user)
    groups = frozenset(_prefixed("group:", it) for it in given.groups)
    if user is not None and not groups:
        groups = _groups_of_account(context, user)
    principal = Principal(
        user=user,
        agent=given.agent,
        groups=groups,
        scopes=frozenset(given.scopes or (f"{BUILT_IN_SCOPE}{connector}",)),
    )
    return CallFacts(
        principal,
        connector,
        METHODS[given.kind],
        given.kind,
        name,
        system_clock() if given.at is None else _moment(given.at),
        arguments=None if given.arguments is None else _arguments(given.arguments),
        touched=frozenset(given.touched),
    )


def _groups_of_account(context: CommandContext, user: str) -> frozenset[str]:
    name = user.removeprefix("user:")
    account = next(
        (it for it in context.store().read(users.every) if it.name == name), None
    )
    return frozenset(f"group:{it}" for it in (account.groups if account else ()))


def _arguments(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise click.UsageError(f"--arguments is no JSON object: {exc}") from exc


def _moment(text: str) -> UnixTime:
    try:
        kind = Annotated[datetime.datetime, Meta(tz=True)]
        return UnixTime(int(msgspec.convert(text, kind).timestamp()))
    except msgspec.ValidationError as exc:
        example = "2026-11-24T10:00:00Z"
        raise click.UsageError(f"--at is a time such as {example}: {exc}") from exc


def _kind_of(method: str) -> Kind:
    kinds = KINDS.get(method, frozenset())
    if len(kinds) > 1:
        raise BasculeError(f"`{method}` needs `kind`: {' or '.join(sorted(kinds))}")
    return next(iter(kinds), "none")


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name
