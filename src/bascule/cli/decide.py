"""`bascule decide`: what a call would be answered, or why one was refused."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import UNSET, Meta, Struct

from bascule.audit.record import AuthzPart, Record, decode
from bascule.cli.audit_records import find_record, log_files
from bascule.cli.context import CommandContext
from bascule.cli.output import cell, emit
from bascule.clock import UnixTime
from bascule.decision.decide import KINDS
from bascule.decision.decide import decide as decide_call
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Decision,
    Denied,
    Kind,
    Maybe,
    Principal,
)
from bascule.decision.gate import as_approved
from bascule.errors import BasculeError

DENIED = 1
"""Exit code."""


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
    agent_verified: bool = False
    definition: str | None = None
    """Digest of what the server serves under that name; absent: of what was approved."""


class Decided(Struct):
    """What `bascule decide` prints."""

    decision: str
    reason: str
    policies: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    record: int | None = None
    """Place in the log of the decision that was looked up."""


@click.command()
@click.argument(
    "facts",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--code", help="Look up the refusal that a client was given this code for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def decide(
    ctx: click.Context, facts: Path | None, code: str | None, *, as_json: bool
) -> None:
    """Decide the call that FACTS describes; exit 1 when it is denied."""
    context: CommandContext = ctx.obj
    if (facts is None) == (code is None):
        raise click.UsageError("give either FACTS or --code CODE")
    if code is not None:
        found, text = _looked_up(context, code)
    else:
        assert facts is not None  # noqa: S101 - the other of the two
        snapshot = context.snapshot(context.config())
        asked = _call_facts(facts)
        served = as_approved(asked, snapshot.gates.get(asked.connector))
        found = _told(decide_call(served, snapshot))
        text = _line(found)
    emit(msgspec.to_builtins(found), text=text, as_json=as_json)
    ctx.exit(DENIED if found.decision == "deny" else 0)


def _told(decision: Decision) -> Decided:
    match decision:
        case Allowed(reason=reason, policies=policies):
            return Decided("allow", reason.value, policies)
        case Maybe(policies=policies):
            return Decided("maybe", "arguments_unknown", policies)
        case Denied(reason=reason, policies=policies, scopes=scopes):
            return Decided("deny", reason.value, policies, scopes)


def _line(found: Decided) -> str:
    return " ".join((f"{found.decision}: {found.reason}", *found.policies, *found.scopes))


def _looked_up(context: CommandContext, code: str) -> tuple[Decided, str]:
    """Read the decision behind a code from the log. Raises `BasculeError`."""
    seq, leaf = find_record(log_files(context), code)
    record = decode(leaf)
    if record.code != code or not isinstance(record.authz, AuthzPart):
        raise BasculeError(f"`{code}` is no code of a refusal: see `bascule audit show`")
    authz = record.authz
    found = Decided(authz.decision, authz.reason, authz.policies, record=seq)
    return found, f"{_line(found)}\nrecord {seq}: {_who_and_what(record)}"


def _who_and_what(record: Record) -> str:
    """Say on one line who asked for what."""
    user = None if record.user is UNSET else record.user.sub
    agent = None if record.agent is UNSET else record.agent.client_id
    connector = None if record.connector is UNSET else record.connector
    method = name = None
    if record.mcp is not UNSET:
        method, name = record.mcp.method, record.mcp.name
    words = (user, agent, connector, method, None if name is UNSET else name)
    return "  ".join(map(cell, words))


def _call_facts(path: Path) -> CallFacts:
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
    )
    now = read.now if isinstance(read.now, int) else int(read.now.timestamp())
    kind = read.kind or _kind_of(read.method)
    return CallFacts(
        principal,
        read.connector,
        read.method,
        kind,
        read.name,
        UnixTime(now),
        read.definition,
        read.arguments,
    )


def _kind_of(method: str) -> Kind:
    kinds = KINDS.get(method, frozenset())
    if len(kinds) > 1:
        raise BasculeError(f"`{method}` needs `kind`: {' or '.join(sorted(kinds))}")
    return next(iter(kinds), "none")


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name
