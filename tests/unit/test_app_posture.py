"""Posture: a control is met only when a probe has looked and found nothing."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bascule.app.posture.assess import Gathered, controls
from bascule.app.posture.assurance import next_steps, requirements, supported
from bascule.app.posture.control import Control, State
from bascule.app.posture.identities import Owner
from bascule.app.secrets import resolve_secret
from bascule.app.verifying import Verified
from bascule.audit.verify import Verdict
from bascule.config.load import load
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.snapshot import build_snapshot
from bascule.lock.declared import Drift

NARROW = """
[connectors.desk]
url = "https://desk.example/mcp"
boundary = {{ reachable_from = ["10.0.0.0/8"], may_reach = ["desk.example:443"] }}
{credential}

[connectors.time]
url = "https://time.example/mcp"
boundary = {{ reachable_from = ["10.0.0.0/8"], may_reach = ["time.example:443"] }}

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


NOBODY = Owner("bascule", 998, "/usr/sbin/nologin")
WHOLE = Verdict(
    origin="log",
    size=3,
    signed_size=3,
    pending=0,
    root="",
    trust="self",
    ok=True,
    problems=[],
)


def gathered(
    text: str = NARROW.format(credential=""),
    cedar: str = "",
    tests: tuple[State, str] = PASSED,
    **changed: Gate | None,
) -> Gathered:
    config = load(text, source="bascule.toml")
    snapshot = build_snapshot(config, {"policies/x.cedar": cedar}, gates(**changed))
    return Gathered(
        config=config,
        snapshot=snapshot,
        tests=tests,
        owner=NOBODY,
        read_secret=resolve_secret,
        verified=(Verified("desk", True, "carol"), Verified("time", True, "carol")),
        entries={},
        log=WHOLE,
        running=None,
        not_running="it does not run",
        said={"desk": [], "time": []},
    )


def by_id(found: Gathered) -> dict[str, Control]:
    return {it.id: it for it in controls(found)}


def judged(
    text: str = NARROW.format(credential=""),
    cedar: str = "",
    tests: tuple[State, str] = PASSED,
    **changed: Gate | None,
) -> dict[str, Control]:
    return by_id(gathered(text, cedar, tests, **changed))


def states(found: dict[str, Control], state: State) -> set[str]:
    return {name for name, it in found.items() if it.state == state}


def test_what_is_narrow_tested_approved_and_copied_is_met() -> None:
    found = judged()
    assert states(found, "not_met") == set()
    assert states(found, "not_assessed") == {
        "tokens",
        "shown",
        "strict",
        "reach",
        "shadow",
    }
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


SECRETS = """
[providers.corp]
issuer = "https://corp.example"
client_id = "b"
client_secret = "env:NOBODY_SET_1"
signals.authorization = "env:NOBODY_SET_2"
scim.token = "env:NOBODY_SET_3"
[issuers.opaque]
issuer = "https://opaque.example"
audiences = { desk = "api://desk" }
[issuers.opaque.introspection]
endpoint = "https://opaque.example/introspect"
client_id = "b"
client_secret = "env:NOBODY_SET_4"
"""


def test_secrets_of_providers_and_of_introspection_are_looked_at() -> None:
    found = judged(NARROW.format(credential="") + SECRETS)["secrets"]
    assert found.state == "not_met"
    for number in range(1, 5):
        assert f"NOBODY_SET_{number}" in " ".join(found.evidence)


URL = 'url = "https://time.example/mcp"'
BOUNDARY = (
    """boundary = { reachable_from = ["10.0.0.0/8"], may_reach = ["time.example:443"] }"""
)


@pytest.mark.parametrize(
    ("control", "old", "new", "said"),
    [
        ("arguments", URL, f'{URL}\nunknown_arguments = "allow"', "unknown arguments"),
        ("secrets", URL, f"{URL}\n{SHARED.replace('DESK', 'NOBODY_SET_IT')}", "not set"),
        ("separate", f"{URL}\n{BOUNDARY}", 'command = ["uvx", "x"]', "share its processes"),
        (
            "secrets",
            f"{URL}\n{BOUNDARY}",
            'command = ["uvx", "x"]\nenv = { API_TOKEN = "abc" }',
            "API_TOKEN` is written out",
        ),
        (
            "transport",
            URL,
            'url = "http://time.example/mcp"\nunsafe_cleartext = true',
            "http beyond loopback",
        ),
        ("declared", BOUNDARY, "", "who may use it"),
        ("sandbox", f"{URL}\n{BOUNDARY}", 'command = ["uvx", "x"]', "never asked"),
    ],
    ids=[
        "arguments",
        "unset",
        "shared",
        "written",
        "cleartext",
        "undeclared",
        "unenclosed",
    ],
)
def test_a_control_that_is_broken_says_where(
    control: str, old: str, new: str, said: str
) -> None:
    text = NARROW.format(credential="")
    assert old in text
    assert judged()[control].state == "met"
    broken = judged(text.replace(old, new, 1))[control]
    assert broken.state == "not_met"
    assert "time" in broken.evidence[0]
    assert said in " ".join(broken.evidence)
    assert broken.fix


@pytest.mark.parametrize(
    ("control", "server"),
    [
        ("binding", 'listen = "0.0.0.0:8420"\nbehind_proxy = ["10.0.0.2/32"]'),
        ("binding", 'listen = "[::]:8420"\nbehind_proxy = ["10.0.0.2/32"]'),
        ("binding", 'admin_listen = "10.0.0.5:8421"\nbehind_proxy = ["10.0.0.2/32"]'),
        ("transport", 'listen = "10.0.0.5:8420"'),
    ],
    ids=["every-interface", "every-interface-of-ipv6", "admin-beyond-loopback", "no-tls"],
)
def test_listeners_that_show_more_than_was_meant_are_named(
    control: str, server: str
) -> None:
    text = f"[server]\n{server}\n{NARROW.format(credential='')}"
    assert judged(text)[control].state == "not_met"


@pytest.mark.parametrize(
    ("owner", "state"),
    [
        (NOBODY, "met"),
        (Owner("bascule", 998, "/bin/false"), "met"),
        (Owner("alice", 1000, "/bin/bash"), "not_met"),
        (Owner("root", 0, "/usr/sbin/nologin"), "not_met"),
        (Owner("x", 12, ""), "not_met"),
        (None, "not_assessed"),
    ],
    ids=["service", "false", "laptop", "root", "no-shell-is-sh", "unknown"],
)
def test_who_may_log_in_as_the_operator_is_not_apart_from_agents(
    owner: Owner | None, state: State
) -> None:
    assert by_id(replace(gathered(), owner=owner))["operator"].state == state


def test_what_drifted_is_named() -> None:
    drifted = Verified("desk", True, "carol", [Drift("tree", "a", "b")])
    found = by_id(replace(gathered(), verified=(drifted,)))["bytes"]
    assert (found.state, found.evidence) == (
        "not_met",
        ("`desk`: not as it was locked: tree", "`time` is not locked"),
    )


def test_where_there_is_nothing_to_look_at_nothing_is_met() -> None:
    config = load("", source="bascule.toml")
    snapshot = build_snapshot(config, {}, {})
    nothing = replace(gathered(), config=config, snapshot=snapshot, verified=())
    of_connectors = {
        *("enforced", "bytes", "declared", "sandbox", "credentials", "separate"),
        *("consent", "arguments", "reach"),
    }
    assert of_connectors <= states(by_id(nothing), "not_assessed")


def test_who_waits_for_a_person_is_unknown_of_definitions_that_nobody_approved() -> None:
    missing = Gate(mode="enforce", missing=Reason.NOT_APPROVED)
    for gate in (None, missing):
        found = judged(time=gate)["consent"]
        assert (found.state, found.evidence) == (
            "not_assessed",
            ("no definitions are approved of `time`",),
        )


def test_a_log_that_does_not_verify_is_not_whole_and_none_is_not_assessed() -> None:
    broken = msgspec.structs.replace(WHOLE, ok=False, problems=["entry 2 differs"])
    found = by_id(replace(gathered(), log=broken))["log"]
    assert (found.state, found.evidence) == ("not_met", ("entry 2 differs",))
    assert by_id(replace(gathered(), log=None))["log"].state == "not_assessed"


def test_a_server_that_nobody_knows_is_named() -> None:
    found = by_id(replace(gathered(), shadows=("127.0.0.1:9 answers MCP",)))["shadow"]
    assert found.state == "not_met"
    assert by_id(replace(gathered(), shadows=()))["shadow"].state == "met"


def test_a_level_is_supported_by_all_that_it_and_those_below_demand() -> None:
    every = {it for demand in requirements([]) for it in demand.controls}
    met = [Control("known", it, "", "met", "a probe") for it in sorted(every)]
    demands = requirements(met)
    assert {it.state for it in demands} == {"met", "not_assessed"}
    # No probe sees what tools return, so that nothing supports the second level yet.
    assert supported(demands) == "L1"
    assert supported(requirements([])) is None
    broken = [it if it.id != "shown" else replace_state(it) for it in met]
    assert supported(requirements(broken)) is None


def replace_state(control: Control) -> Control:
    return msgspec.structs.replace(control, state="not_met")


def test_every_demand_stands_on_controls_that_there_are() -> None:
    there = set(judged())
    for demand in requirements([]):
        assert set(demand.controls) <= there


def test_what_to_do_next_is_said_once() -> None:
    found = [
        Control("known", "a", "", "not_met", "", fix="lock it"),
        Control("known", "b", "", "not_met", "", fix="lock it"),
        Control("known", "c", "", "met", ""),
    ]
    assert list(next_steps(found)) == ["lock it"]
