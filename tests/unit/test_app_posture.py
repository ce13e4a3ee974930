"""Posture: a control is met only when a probe has looked and found nothing."""

from __future__ import annotations

import pytest

from bascule.app.posture import Control, State, controls
from bascule.config.load import load
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.snapshot import build_snapshot

NARROW = """
[connectors.desk]
url = "https://desk.example/mcp"
{credential}

[connectors.time]
url = "https://time.example/mcp"

[toolsets]
"desk:read" = ["desk/search"]

[roles.clerk]
members = ["user:alice"]
allow = ["desk:read"]

[agents.ceilings]
helper = ["desk:read"]

[call_approvals.deletions]
tools = ["desk/delete"]
approvers = ["user:bob"]

[audit]
copies = ["file:/srv/copies"]
"""
SHARED = """credential = { kind = "static", value = "env:DESK", shared = true }"""
READS = ToolPin(destructive=False, read_only=True)
PASSED: tuple[State, str] = ("met", "")


def gates(**changed: Gate | None) -> dict[str, Gate | None]:
    tools = {"search": {"0" * 64: READS}, "delete": {"1" * 64: ToolPin()}}
    calm = {"now": {"2" * 64: READS}}
    found: dict[str, Gate | None] = {
        "desk": Gate(mode="enforce", tools=tools),
        "time": Gate(mode="enforce", tools=calm),
    }
    return found | changed


def judged(
    text: str = NARROW.format(credential=""),
    cedar: str = "",
    tests: tuple[State, str] = PASSED,
    **changed: Gate | None,
) -> dict[str, Control]:
    config = load(text, source="bascule.toml")
    snapshot = build_snapshot(config, {"policies/x.cedar": cedar}, gates(**changed))
    return {it.id: it for it in controls(config, snapshot, tests)}


def states(found: dict[str, Control], state: State) -> set[str]:
    return {name for name, it in found.items() if it.state == state}


def test_what_is_narrow_tested_approved_and_copied_is_met() -> None:
    found = judged()
    assert states(found, "not_met") == set()
    assert states(found, "not_assessed") == {"tokens", "operator", "reach", "log"}
    assert {it.promise for it in found.values()} == {
        "known",
        "entitled",
        "approved",
        "bounded",
        "traced",
    }


@pytest.mark.parametrize(
    ("control", "old", "new"),
    [
        ("everything", 'allow = ["desk:read"]', 'allow = ["desk/*", "time/*"]'),
        ("any_agent", "[agents.ceilings]", 'agents.default_ceiling = ["desk/*"]\n'),
        ("crossing", 'helper = ["desk:read"]', 'helper = ["desk:read", "time/now"]'),
        ("consent", 'tools = ["desk/delete"]', 'tools = ["desk/search"]'),
        ("copies", 'copies = ["file:/srv/copies"]', ""),
    ],
)
def test_what_reaches_far_or_waits_for_nobody_is_not(
    control: str, old: str, new: str
) -> None:
    text = NARROW.format(credential="")
    if control == "any_agent":
        text = f"{new}{text.replace(old, '[agents.ceilings]')}"
    else:
        text = text.replace(old, new)
    if control == "crossing":
        text = text.replace('allow = ["desk:read"]', 'allow = ["desk:read", "time/now"]')
    assert control in states(judged(text), "not_met")


def test_what_lets_any_agent_do_everything_is_told_of_both() -> None:
    text = NARROW.format(credential="").replace(
        "[agents.ceilings]",
        '[agents]\ndefault_ceiling = ["desk/*", "time/*"]\n\n[agents.ceilings]',
    )
    assert {"everything", "any_agent"} <= states(judged(text), "not_met")


def test_a_written_policy_that_no_connector_bounds_crosses() -> None:
    cedar = """@id("all") permit(principal is Mcp::User,
      action in Mcp::Action::"use", resource);"""
    found = judged(cedar=cedar)["crossing"]
    assert (found.state, found.evidence) == (
        "not_met",
        ("policy `all`: permits in every connector",),
    )


FLOW = """
[labels]
strangers = ["desk/search"]
harm = ["desk/delete"]

[flows.strangers]
after = ["strangers"]
close = ["harm"]
minutes = 30
then = "approve"
rule = "deletions"
"""
BY_RULE = 'tools = ["desk/delete"]'
DELETES = """action == Mcp::Action::"call_tool",
  resource == Mcp::Tool::"desk/delete")"""


@pytest.mark.parametrize(
    ("state", "cedar"),
    [
        ("met", f'@obligation("approve") forbid(principal, {DELETES};'),
        ("not_met", f"forbid(principal, {DELETES};"),
        (
            "not_met",
            f'@obligation("approve") forbid(principal == Mcp::User::"bob", {DELETES};',
        ),
        (
            "not_met",
            f'@obligation("approve") forbid(principal, {DELETES}'
            " when { context has user };",
        ),
        (
            "not_met",
            f'@obligation("approve") permit(principal is Mcp::User, {DELETES};',
        ),
    ],
    ids=["always", "no-person", "for-one", "at-times", "beside-a-role"],
)
def test_calls_wait_only_by_what_holds_every_one_of_them(state: State, cedar: str) -> None:
    text = NARROW.format(credential="").replace(BY_RULE, 'tools = ["desk/search"]')
    found = judged(text, cedar=f'@id("x") {cedar}')["consent"]
    assert found.state == state


def test_calls_that_wait_after_something_else_do_not_all_wait() -> None:
    text = NARROW.format(credential="").replace(BY_RULE, 'tools = ["desk/search"]')
    assert judged(f"{text}{FLOW}")["consent"].state == "not_met"


def test_a_rule_on_all_that_destroys_holds_them() -> None:
    text = NARROW.format(credential="").replace(BY_RULE, "destructive = true")
    assert judged(text)["consent"].state == "met"


def test_policies_without_cases_or_with_failing_ones_are_not_tested() -> None:
    found = judged(tests=("not_met", "2 cases come out otherwise"))["tested"]
    assert found.state == "not_met"
    assert found.evidence == ("2 cases come out otherwise",)


@pytest.mark.parametrize(
    "gate",
    [
        None,
        Gate(mode="observe"),
        Gate(mode="enforce", missing=Reason.NOT_APPROVED, problem="has no approval"),
    ],
    ids=["observed", "seen", "unapproved"],
)
def test_a_connector_that_is_not_approved_or_not_held_to_it_is_named(
    gate: Gate | None,
) -> None:
    found = judged(time=gate)["enforced"]
    assert found.state == "not_met"
    assert all("`time`" in sentence for sentence in found.evidence)
    assert len(found.evidence) == 1


def test_a_shared_credential_is_fine_for_reading_alone() -> None:
    shared = NARROW.format(credential=SHARED)
    assert "credentials" in states(judged(shared), "not_met")
    calm = Gate(mode="enforce", tools={"search": {"0" * 64: READS}})
    assert "credentials" in states(judged(shared, desk=calm), "met")
    unknown = Gate(mode="enforce")
    assert "credentials" in states(judged(shared, desk=unknown), "not_met")
