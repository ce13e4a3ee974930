"""Decisions as the log has them, ready to be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from bascule.app.place import Place
from bascule.audit.commitments import KEY_BYTES
from bascule.audit.log_files import LogFiles
from bascule.audit.openings import SealedOpeningError, read_opening, unseal
from bascule.audit.query import leaves, row, second_of
from bascule.audit.record import AuthzPart, McpPart, Record, decode
from bascule.audit.state import TreeError, read_state
from bascule.clock import UnixTime
from bascule.decision.decide import KINDS
from bascule.decision.facts import CallFacts, Kind, Principal, Reason
from bascule.decision.outcomes import Word

FOR_SOME_CALLS = "its token was for some calls alone"
"""What a record lacks then is which calls these were."""
_DECIDED = b'"stage":"decided"'


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision about something that a right is needed for."""

    seq: int
    facts: CallFacts
    """Arguments are None where there were some: only their commitment is in the log."""
    outcome: Word
    reason: str
    policies: tuple[str, ...]
    consented: bool
    """Somebody had approved just this call."""
    missing: str
    """What the record lacks to be decided again; empty for nothing."""


def recorded_calls(
    files: LogFiles, *, since: UnixTime, until: UnixTime
) -> Iterator[Recorded]:
    """Give the decisions of a time, oldest first. Raises what reading tiles raises."""
    for seq, leaf in leaves(files):
        if _DECIDED not in leaf or not since <= second_of(leaf) < until:
            continue
        found = recorded_call(seq, decode(leaf))
        if found is not None:
            yield found


def kept_arguments(place: Place) -> Callable[[int], Mapping[str, Any] | None]:
    """Give what opens the arguments of a record; it gives None where none were kept."""
    files, key = place.log().files(), place.log_keys().openings
    state = read_state(files)
    size = 0 if state is None else state.size

    def opened(seq: int) -> Mapping[str, Any] | None:
        try:
            opening = unseal(key, read_opening(files, size, seq))
            found = msgspec.json.decode(opening[KEY_BYTES:])
        except (TreeError, SealedOpeningError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if isinstance(found, dict) else None

    return opened


def recorded_call(seq: int, record: Record) -> Recorded | None:
    """Give the decision of a record; None when it has none for which a right is needed."""
    authz, mcp = record.authz, record.mcp
    if not isinstance(authz, AuthzPart) or not isinstance(mcp, McpPart):
        return None
    kind = _kind(mcp)
    flat = row(seq, record)
    if kind is None or flat.agent is None or flat.connector is None:
        return None
    facts = CallFacts(
        Principal(
            user=flat.user,
            agent=flat.agent,
            groups=_groups(record),
            scopes=frozenset() if record.cred is UNSET else frozenset(record.cred.scopes),
            agent_verified=bool(flat.agent_verified),
            actors=() if record.agent is UNSET else record.agent.act,
        ),
        flat.connector,
        mcp.method,
        kind,
        flat.name or "",
        UnixTime(record.ts // 1_000_000),
        definition=None if authz.definition is UNSET else authz.definition,
        arguments={} if record.args is UNSET else None,
        touched=frozenset(authz.touched),
        address=None if record.src is UNSET else record.src.ip,
    )
    consented = authz.decision == "allow" and authz.approval is not UNSET
    refused: Word = "approve" if authz.reason == Reason.APPROVAL_REQUIRED else "deny"
    return Recorded(
        seq=seq,
        facts=facts,
        outcome="allow" if authz.decision == "allow" else refused,
        reason=authz.reason,
        policies=authz.policies,
        consented=consented,
        missing=_missing(record, mcp),
    )


def _kind(mcp: McpPart) -> Kind | None:
    """Give what is named; None for a method that needs no right."""
    kinds = KINDS.get(mcp.method)
    if kinds is None:
        return None
    if len(kinds) == 1:
        return next(iter(kinds))
    return next((it for it in kinds if it == mcp.kind), "prompt")


def _groups(record: Record) -> frozenset[str]:
    user = record.user
    if user is UNSET or user.groups is UNSET:
        return frozenset()
    prefix = "group:" if user.iss is UNSET else f"group:{user.iss}|"
    return frozenset(prefix + it for it in user.groups)


def _missing(record: Record, mcp: McpPart) -> str:
    if record.user is not UNSET and record.user.groups is UNSET:
        return "the groups of its user are not in the record"
    if len(KINDS.get(mcp.method, ())) > 1 and mcp.kind is UNSET:
        return "what was to be completed is not in the record"
    if isinstance(mcp.name, str) and mcp.name.endswith(")") and "…(+" in mcp.name:
        return "its name is cut off in the record"
    if record.cred is not UNSET and record.cred.tools is not UNSET:
        return FOR_SOME_CALLS
    return ""
