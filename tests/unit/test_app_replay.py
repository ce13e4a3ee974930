"""What recorded calls come to when they are decided again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import UNSET

from audit_logs import record
from bascule.app.recorded import Recorded, recorded_call
from bascule.app.replay import NO_MATTER_OF_RIGHTS, Replay, observing, replay
from bascule.audit.record import AgentPart, ArgsPart, AuthzPart, CredPart, McpPart, UserPart
from bascule.config.model import Agents, CallApprovalRule, Config, Connector, Role
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Snapshot, build_snapshot

CONFIG = Config(
    connectors={"tickets": Connector(url="https://tickets.example/mcp")},
    roles={"staff": Role(members=("group:staff",), allow=("tickets/tool_1",))},
    agents=Agents(default_ceiling=("tickets/*",)),
    call_approvals={"careful": CallApprovalRule(tools=("tickets/tool_2",))},
)
GATES = observing({"tickets": Gate(mode="enforce", missing=Reason.NOT_APPROVED)})
PATHS = """
@id("paths") permit(principal is Mcp::User, action == Mcp::Action::"call_tool", resource)
when { context.args has path && context.args.path like "/srv/*" };
"""
STAFF = UserPart(groups=("staff",), sub="alice")


def snapshot(policies: str = "", config: Config = CONFIG) -> Snapshot:
    return build_snapshot(config, {"x.cedar": policies}, GATES)


def made(number: int = 1, **fields: Any) -> Recorded:
    given = {
        "user": STAFF,
        "agent": AgentPart(client_id="desk", verified=True),
        "cred": CredPart(scopes=("mcp:tickets",)),
        "authz": AuthzPart(decision="allow", reason="allowed"),
    }
    found = recorded_call(7, record(number, **{**given, **fields}))
    assert found is not None
    return found


def again(
    call: Recorded, candidate: Snapshot, kept: Mapping[str, Any] | None = None
) -> Replay:
    return replay([call], lambda seq: kept if seq == 7 else None, candidate, snapshot())


def denied(reason: str) -> AuthzPart:
    return AuthzPart(decision="deny", reason=reason)


def test_a_record_says_all_that_a_decision_is_made_from() -> None:
    foreign = UserPart(groups=("a", "b"), iss="https://idp.example", sub="x")
    authz = AuthzPart(
        decision="deny", reason="flow_closed", definition="d1", touched=("secret",)
    )
    facts = made(user=foreign, authz=authz, args=ArgsPart(2, "sha256:00")).facts
    assert facts.principal.user == "user:https://idp.example|x"
    assert facts.principal.groups == {
        "group:https://idp.example|a",
        "group:https://idp.example|b",
    }
    assert (facts.principal.scopes, facts.principal.agent) == ({"mcp:tickets"}, "desk")
    assert (facts.definition, facts.touched) == ("d1", {"secret"})
    assert (facts.arguments, facts.kind, facts.name) == (None, "tool", "tool_1")
    assert made().facts.arguments == {}


def test_the_same_rights_come_to_the_same() -> None:
    found = again(made(), snapshot())
    assert (found.calls, found.same, found.differences) == (1, 1, [])


def test_what_was_allowed_and_would_be_denied_is_said() -> None:
    found = again(made(), snapshot(config=_without_roles()))
    (it,) = found.differences
    assert (it.recorded, it.candidate, it.candidate_reason, it.now) == (
        "allow",
        "deny",
        "no_user_right",
        "allow",
    )
    assert (it.calls, it.record, it.last) == (1, 7, 1_700_000_000)


def _without_roles() -> Config:
    return Config(connectors=CONFIG.connectors, agents=CONFIG.agents)


@pytest.mark.parametrize("reason", sorted(NO_MATTER_OF_RIGHTS))
def test_what_no_rights_would_have_changed_is_the_same(reason: str) -> None:
    assert again(made(authz=denied(reason)), snapshot()).same == 1


def test_arguments_that_were_not_kept_are_asked_for_only_where_they_count() -> None:
    with_some = made(9, authz=denied("no_user_right"), args=ArgsPart(9, "sha256:00"))
    assert again(with_some, snapshot()).same == 1
    found = again(with_some, snapshot(PATHS))
    assert found.undecided == {"the values of its arguments were not kept": 1}
    found = again(with_some, snapshot(PATHS), {"path": "/srv/x"})
    assert found.differences[0].candidate == "allow"
    assert again(with_some, snapshot(PATHS), {"path": "/etc"}).same == 1
    # Without any in the record there were none.
    none = made(9, authz=denied("no_user_right"))
    assert again(none, snapshot(PATHS)).same == 1


def test_a_call_with_a_consent_had_one_and_would_have_it() -> None:
    rights = snapshot('@id("p") permit(principal is Mcp::User, action, resource);')
    approved = AuthzPart(decision="allow", reason="allowed", approval="0" * 32)
    assert again(made(2, authz=approved), rights).same == 1
    with_some = made(2, authz=approved, args=ArgsPart(9, "sha256:00"))
    assert again(with_some, rights).same == 1
    waited = made(2, authz=denied("approval_required"))
    assert again(waited, rights).same == 1
    found = again(made(2), rights)
    assert found.differences[0].candidate == "approve"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"user": UserPart(sub="alice")}, "the groups of its user are not in the record"),
        (
            {"mcp": McpPart(method="completion/complete", name="x")},
            "what was to be completed is not in the record",
        ),
        (
            {"mcp": McpPart(method="tools/call", name="x" * 512 + "…(+9)")},
            "its name is cut off in the record",
        ),
        (
            {"cred": CredPart(scopes=("mcp:tickets",), tools=("tool_1",))},
            "its token was for some calls alone",
        ),
    ],
)
def test_what_is_not_known_is_said_and_not_guessed(
    fields: dict[str, Any], why: str
) -> None:
    found = again(made(**fields), snapshot())
    assert (found.same, found.differences, found.undecided) == (0, [], {why: 1})


def test_lists_and_other_events_are_no_calls() -> None:
    assert recorded_call(1, record(mcp=McpPart(method="tools/list"))) is None
    assert recorded_call(1, record(authz=UNSET)) is None
