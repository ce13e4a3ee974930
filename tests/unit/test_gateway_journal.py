"""Records of calls: what they say, however many of the same kind went before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import rfc8785

from bascule.audit.once import Once
from bascule.audit.record import AgentPart, ArgsPart, CredPart, Record, UserPart, decode
from bascule.audit.record import encode as encode_record
from bascule.audit.writer import LogUnavailableError
from bascule.clock import UnixTime, system_entropy
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Decision,
    Denied,
    Principal,
    Reason,
)
from bascule.gateway.callers import Caller
from bascule.gateway.journal import MAX_FORMS, Entry, Journal
from bascule.gateway.relay import Outcome
from bascule.identity.access_token import AccessToken

ARGS = ArgsPart(bytes=17, commit="sha256:00", keys=("a%b", 'q"'))
ALLOWED = Allowed(("role:tickets/%d", 'ceiling:"x"'))


class Leaves:
    """A sink that keeps what it is handed."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self.refuses = False

    def append(
        self,
        leaf: bytes,
        on_durable: Callable[[bool], None] | None = None,
        opening: bytes | None = None,
        once: Once | None = None,
    ) -> None:
        if self.refuses:
            raise LogUnavailableError("no disk")
        self.all.append(leaf)

    @property
    def last(self) -> Record:
        leaf = self.all[-1]
        assert leaf == rfc8785.dumps(msgspec.json.decode(leaf)), "not in canonical form"
        assert leaf == encode_record(decode(leaf))
        return decode(leaf)


@pytest.fixture
def leaves() -> Leaves:
    return Leaves()


@pytest.fixture
def journal(leaves: Leaves) -> Journal:
    return Journal(leaves, log="l%d/og", writer="gateway", boot="b", entropy=system_entropy)


def caller(user: str = "alice") -> Caller:
    now = UnixTime(1)
    return Caller(
        principal=Principal(user=f"user:{user}", agent="cli"),
        connector="tickets",
        token=AccessToken(
            user=f"user:{user}",
            agent="cli",
            jti="1",
            scopes=frozenset(),
            issued_at=now,
            expires_at=now,
            issue_number=1,
        ),
        user_part=UserPart(sub=user),
        agent_part=AgentPart(client_id="cli", verified=True),
        cred_part=CredPart(jti_hash="00", scopes=("mcp:tickets",)),
        confirmed=1,
        identity=user,
        deciding_part=UserPart(groups=("desk",), sub=user),
    )


def decided(journal: Journal, by: Caller, name: str = "echo", **changed: Any) -> Entry:
    facts = CallFacts(
        by.principal,
        "tickets",
        changed.pop("method", "tools/call"),
        changed.pop("kind", "tool"),
        name,
        UnixTime(1),
    )
    decision: Decision = changed.pop("decision", ALLOWED)
    given = {"peer": "127.0.0.1", "policy_digest": "d1", "args": ARGS, "opening": None}
    return journal.decided(by, facts, decision, **{**given, **changed})


def test_what_differs_between_two_calls_is_in_their_records(
    journal: Journal, leaves: Leaves
) -> None:
    alice = caller()
    decided(journal, alice)
    first = leaves.last
    assert first.mcp
    assert (first.mcp.name, first.args, first.stage) == ("echo", ARGS, "decided")
    denied = Denied(Reason.NO_USER_RIGHT)
    changes: list[tuple[dict[str, Any], Callable[[Record], object], object]] = [
        ({"peer": "::1"}, lambda it: it.src and it.src.ip, "::1"),
        (
            {"policy_digest": "d2"},
            lambda it: it.authz and it.authz.policy_digest,
            "d2",
        ),
        ({"decision": denied}, lambda it: it.authz and it.authz.decision, "deny"),
        ({"decision": denied}, lambda it: it.type, "authz.decision"),
        ({"args": None}, lambda it: it.args, msgspec.UNSET),
        ({"name": 'per%cent "quoted" é'}, lambda it: it.mcp and it.mcp.name, None),
        ({"method": "tools/list", "kind": "none", "name": ""}, lambda it: it.mcp, None),
    ]
    for changed, look, expected in changes:
        before = look(first)
        decided(journal, alice, **changed)
        found = look(leaves.last)
        assert found != before
        assert expected in {None, found}
        decided(journal, alice)
        again = leaves.last
        assert again.id != first.id
        assert msgspec.structs.replace(again, id=first.id, ts=first.ts) == first


def test_callers_are_told_apart(journal: Journal, leaves: Leaves) -> None:
    for name in ("alice", "bob", "alice"):
        decided(journal, caller(name))
        assert leaves.last.user == UserPart(groups=("desk",), sub=name)


def test_a_completion_says_what_it_completes(journal: Journal, leaves: Leaves) -> None:
    for kind in ("prompt", "resource"):
        decided(journal, caller(), method="completion/complete", kind=kind)
        assert leaves.last.mcp
        assert leaves.last.mcp.kind == kind
    decided(journal, caller())
    assert leaves.last.mcp
    assert leaves.last.mcp.kind is msgspec.UNSET


def test_a_refusal_has_a_code_of_its_own_each_time(
    journal: Journal, leaves: Leaves
) -> None:
    alice, denied = caller(), Denied(Reason.NO_USER_RIGHT)
    entries = [decided(journal, alice, decision=denied) for _ in range(2)]
    codes = [decode(leaf).code for leaf in leaves.all]
    assert codes == [entry.code for entry in entries]
    assert len(set(codes)) == 2
    assert decided(journal, alice).code == ""
    assert leaves.last.code is msgspec.UNSET


def test_the_end_of_a_call_names_its_beginning(journal: Journal, leaves: Leaves) -> None:
    entry = decided(journal, caller())
    journal.completed(entry, Outcome("ok", 304, 200))
    end = leaves.last
    assert (end.parent, end.stage, end.type) == (entry.id, "completed", "call.end")
    assert end.result
    assert (end.result.bytes, end.result.status) == (304, 200)
    assert (end.user, end.args, end.cred) == (
        UserPart(sub="alice"),
        msgspec.UNSET,
        msgspec.UNSET,
    )
    journal.completed(entry, Outcome("error", 9, 400, error_code=-32602))
    assert leaves.last.result == msgspec.structs.replace(
        end.result, bytes=9, status=400, outcome="error", error=-32602
    )


def test_names_that_a_caller_makes_up_take_bounded_memory(
    journal: Journal, leaves: Leaves
) -> None:
    alice = caller()
    for number in range(MAX_FORMS + 10):
        decided(journal, alice, name=f"made-up-{number}")
    decided(journal, alice, name="x" * 100_000)
    decided(journal, alice, method="m" * 100_000)
    assert len(journal._forms) == MAX_FORMS
    assert max(len(part) for _, *parts in journal._forms for part in parts) < 1000


def test_nothing_is_taken_once_the_log_refuses(journal: Journal, leaves: Leaves) -> None:
    entry = decided(journal, caller())
    leaves.refuses = True
    with pytest.raises(LogUnavailableError):
        decided(journal, caller())
    journal.completed(entry, Outcome("ok"))
    leaves.refuses = False
    journal.refuses = True
    with pytest.raises(LogUnavailableError):
        decided(journal, caller())
    assert len(leaves.all) == 1
