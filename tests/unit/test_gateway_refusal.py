"""What a denial tells: always how to look it up, and nothing of what exists."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bascule.clock import UnixTime
from bascule.decision.facts import CallFacts, Denied, Principal, Reason
from bascule.decision.gate import MISSING
from bascule.gateway import refusal
from bascule.gateway.exchange import Exchange
from bascule.gateway.gateway import Gateway
from bascule.protocol.message import Request

CODE = "a random code"
FACTS = CallFacts(
    Principal("user:alice", "desk-app"),
    "desk",
    "tools/call",
    "tool",
    "delete",
    UnixTime(1_800_000_000),
)
REQUEST = Request(7, "tools/call", {"name": "delete"})
SAID_TO_WHO_MAY = {
    Reason.INVALID_ARGUMENTS,
    Reason.FLOW_CLOSED,
    Reason.LIMIT_REACHED,
    Reason.INSUFFICIENT_SCOPE,
    Reason.BEYOND_DETAILS,
    Reason.APPROVAL_REQUIRED,
}
"""User and agent may use the tool: what is said reveals nothing."""
SAID_TO_ALL = {
    *MISSING,
    Reason.DEFINITIONS_UNREADABLE,
    Reason.ACCOUNT_NEEDED,
    Reason.UNKNOWN_METHOD,
}
"""Of the connector or the method, whatever is named."""
DENIALS = set(Reason) - {Reason.ALLOWED, Reason.OPEN_METHOD}


@dataclass(slots=True)
class Answered:
    """The client's side: what it is told."""

    streaming: bool = False
    answered: bool = False
    told: list[tuple[int, bytes, dict[str, Any]]] = field(default_factory=list)

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self.told.append((status, headers, json.loads(body)))


@dataclass(frozen=True, slots=True)
class Door:
    """All of a gateway that a refusal looks at."""

    public_url: str = "https://bascule.example"


def told(
    reason: Reason, *, modern: bool = True, code: str = CODE, kind: str = "tool"
) -> tuple[int, bytes, dict[str, Any]]:
    client = Answered()
    scopes = ("mcp:desk",) if reason in SAID_TO_WHO_MAY else ()
    until = UnixTime(FACTS.now + 60) if reason is Reason.LIMIT_REACHED else None
    decision = Denied(reason, scopes=scopes, detail="a sentence", until=until)
    refusal.denied(
        cast("Gateway", Door()),
        cast("Exchange", client),
        REQUEST,
        FACTS,
        decision,
        code,
        modern=modern,
    )
    (answer,) = client.told
    return answer


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("reason", sorted(DENIALS))
def test_every_denial_can_be_looked_up(reason: Reason, modern: bool) -> None:
    status, _, body = told(reason, modern=modern)
    assert body["id"] == 7
    assert body["error"]["data"]["code"] == CODE
    assert status >= 400 or not modern


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("reason", sorted(DENIALS - SAID_TO_WHO_MAY - SAID_TO_ALL))
def test_what_may_not_be_used_is_answered_like_what_is_not_there(
    reason: Reason, modern: bool
) -> None:
    assert told(reason, modern=modern) == told(Reason.UNKNOWN_CONNECTOR, modern=modern)
    assert told(reason, modern=modern)[2]["error"]["code"] == -32602


@pytest.mark.parametrize("reason", sorted(SAID_TO_WHO_MAY - {Reason.APPROVAL_REQUIRED}))
def test_who_may_is_told_what_to_do(reason: Reason) -> None:
    _, headers, body = told(reason)
    by_scope = reason in {Reason.INSUFFICIENT_SCOPE, Reason.BEYOND_DETAILS}
    assert (b'error="insufficient_scope"' in headers) == by_scope
    assert (b'scope="mcp:desk"' in headers) == by_scope
    assert (b"Retry-After: 60" in headers) == (reason is Reason.LIMIT_REACHED)
    message = body["error"]["message"]
    assert ("a sentence" in message) != by_scope
    assert ("needs mcp:desk" in message) == (reason is Reason.INSUFFICIENT_SCOPE)
    assert ("authorization_details" in message) == (reason is Reason.BEYOND_DETAILS)
