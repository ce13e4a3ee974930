"""Rules in vain: found where it is certain, and left alone where it is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bascule.config.load import load
from bascule.config.model import Config, Mode
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.lints import lints
from bascule.decision.problems import Problem
from bascule.decision.reach import unreachable_tools
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.decision.unknown_names import unknown_names

CONNECTORS = """
[connectors.desk]
url = "https://desk.example/mcp"
[connectors.free]
url = "https://free.example/mcp"
mode = "observe"
"""
PINS = {
    "tools": {it: frozenset({"d"}) for it in ("search", "get_one", "get_two", "wipe")},
    "prompts": {"hello": frozenset({"d"})},
}
APPROVED = Gate(mode="enforce", pins=PINS)  # type: ignore[arg-type]
ROLE = """
[toolsets]
"desk:read" = ["desk/search", "desk/get_*"]
[roles.clerk]
members = ["user:alice"]
allow = ["desk:read"]
"""


def made(tables: str, cedar: str = "", *, approved: bool = True) -> tuple[Config, Snapshot]:
    config = load(CONNECTORS + tables, source="bascule.toml")
    gates = {"desk": APPROVED if approved else None, "free": None}
    return config, build_snapshot(config, {"x.cedar": cedar} if cedar else {}, gates)


def linted(tables: str = ROLE, cedar: str = "", *, approved: bool = True) -> list[Problem]:
    config, snapshot = made(tables, cedar, approved=approved)
    found = lints(config, snapshot)
    assert {it.severity for it in found} <= {"warning"}
    return found


def unknown(tables: str = ROLE, cedar: str = "", *, approved: bool = True) -> list[Problem]:
    found = unknown_names(*made(tables, cedar, approved=approved))
    assert {it.severity for it in found} <= {"error"}
    return found


def use(
    resource: str, condition: str = "", *, who: str = "principal", name: str = "x"
) -> str:
    head = f'{who}, action == Mcp::Action::"call_tool", {resource}'
    return f'@id("{name}") forbid({head}) {condition};'


SEARCH = 'resource == Mcp::Tool::"desk/search"'


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ('[toolsets]\n"desk:a" = ["desk/serach"]', ("toolsets", "desk:a", 0)),
        ('[labels]\negress = ["desk/serach"]', ("labels", "egress", 0)),
        (
            '[roles.a]\nmembers = ["user:x"]\nallow = ["desk/*", "desk/serach"]',
            ("roles", "a", "allow", 1),
        ),
        ('[agents]\ndefault_ceiling = ["desk/serach"]', ("agents", "default_ceiling", 0)),
        ('[agents.ceilings]\nx = ["desk/serach"]', ("agents", "ceilings", "x", 0)),
        ('[scopes]\ns = ["desk/serach"]', ("scopes", "s", 0)),
        (
            '[call_approvals.a]\ntools = ["desk/serach"]\nself_approval = true',
            ("call_approvals", "a", "tools", 0),
        ),
        ('[rates.r]\nof = ["desk/serach"]\ncalls = 1', ("rates", "r", "of", 0)),
    ],
)
def test_a_tool_that_the_approved_surface_lacks_is_an_error(
    table: str, where: tuple[str | int, ...]
) -> None:
    (problem,) = unknown(table)
    assert problem.where == where
    assert problem.message.endswith(
        "the approved surface of `desk` has no tool `serach`: is `search` meant?"
    )
    assert unknown(table, approved=False) == []
    assert unknown(table.replace("serach", "search")) == []
    assert unknown(table.replace("desk/", "free/").replace("desk:", "free:")) == []


@pytest.mark.parametrize(
    "entry", ["desk/prompt:hello", "desk/resource:file:///x", "desk/x*"]
)
def test_what_is_there_or_changes_is_no_error(entry: str) -> None:
    assert unknown(f'[scopes]\ns = ["{entry}"]') == []


def test_a_prompt_is_looked_for_too() -> None:
    (problem,) = unknown('[scopes]\ns = ["desk/prompt:helo"]')
    assert "has no prompt `helo`: is `hello` meant?" in problem.message


@pytest.mark.parametrize(
    "cedar",
    [
        use('resource == Mcp::Tool::"desk/serach"'),
        use("resource", 'when { resource == Mcp::Tool::"desk/serach" }'),
        use("resource", 'unless { resource == Mcp::Tool::"desk/serach" }'),
    ],
)
def test_a_policy_that_names_none_is_an_error_at_its_line(cedar: str) -> None:
    (problem,) = unknown(cedar=f"// why\n{cedar}")
    assert (problem.file, problem.line) == ("x.cedar", 2)
    assert problem.message.startswith("`x`: the approved surface of `desk` has no tool")
    assert unknown(cedar=cedar, approved=False) == []


def test_what_says_something_is_left_alone() -> None:
    assert linted() == []
    assert linted(cedar=use(SEARCH, 'when { context.args.q == "x" }')) == []
    assert linted(cedar=use(SEARCH, 'when { resource.name == "search" }')) == []


@pytest.mark.parametrize(
    ("allow", "at", "said"),
    [
        ('"desk/*", "desk/search"', 1, "`desk/search` adds nothing to `desk/*`"),
        ('"desk/search", "desk/*"', 0, "`desk/search` adds nothing to `desk/*`"),
        ('"desk/get_*", "desk/get_t*"', 1, "`desk/get_t*` adds nothing to `desk/get_*`"),
        ('"desk:read", "desk/get_one"', 1, "`desk/get_one` adds nothing to `desk:read`"),
        ('"desk:read", "desk/*"', 0, "`desk:read` adds nothing to `desk/*`"),
        ('"desk:one", "desk/search"', 1, "`desk/search` adds nothing to `desk:one`"),
        ('"desk/search", "desk:one"', 1, "`desk:one` adds nothing to `desk/search`"),
        ('"desk/nope*"', 0, "`desk/nope*` matches none of the approved tools of `desk`"),
    ],
)
def test_an_entry_in_vain_is_a_warning_at_its_place(allow: str, at: int, said: str) -> None:
    tables = ROLE.replace('"desk:read"]', f"{allow}]").replace(
        "[roles.clerk]", '"desk:one" = ["desk/search"]\n[roles.clerk]'
    )
    (problem,) = linted(tables)
    assert problem.where == ("roles", "clerk", "allow", at)
    assert problem.message == f"roles.clerk.allow[{at}]: {said}"


@pytest.mark.parametrize(
    "allow",
    [
        '"desk/get_*", "desk/*_two"',
        '"desk/*", "free/*"',
        '"desk/get_*", "desk/prompt:hello"',
        '"desk/get_one", "desk/get_two"',
    ],
)
def test_entries_that_only_overlap_are_left_alone(allow: str) -> None:
    assert linted(ROLE.replace('"desk:read"]', f"{allow}]")) == []


@pytest.mark.parametrize(
    ("ceiling", "approved", "said"),
    [
        ('"free/*"', True, "no ceiling has anything of `desk:read`"),
        ('"desk/wi*"', True, "no ceiling has anything of `desk:read`"),
        ('"desk/wi*"', False, "no ceiling has anything of `desk:read`"),
        ('"desk/prompt:*"', True, "no ceiling has anything of `desk:read`"),
        ('"desk/get_*"', True, "no ceiling reaches `desk/search`"),
    ],
)
def test_what_no_ceiling_reaches_is_a_warning(
    ceiling: str, approved: bool, said: str
) -> None:
    tables = f"{ROLE}\n[agents.ceilings]\ndesktop = [{ceiling}]\n"
    (problem,) = linted(tables, approved=approved)
    assert problem.where == ("roles", "clerk", "allow", 0)
    assert problem.message.endswith(f"{said}: only `bascule-cli` may use it")
    (problem,) = linted(f"{tables}bascule-cli = []", approved=approved)
    assert problem.message.endswith(f"{said}: no agent may use it")
    assert linted(f'{tables}other = ["desk:read"]', approved=approved) == []


def test_patterns_that_could_meet_are_left_alone() -> None:
    tables = f'{ROLE}\n[agents]\ndefault_ceiling = ["desk/se*h", "desk/*_one"]\n'
    assert linted(tables, approved=False) == []


@pytest.mark.parametrize(
    "condition",
    [
        'when { context.args.p == "a" && context.args.p == "b" }',
        'when { context.args.p like "/a/*" } unless { context.args.p like "/*" }',
        "when { context.args.n > 3 && context.args.n < 2 }",
        'when { resource.name == "nope" }',
        'when { resource.labels.contains("egress") }',
    ],
)
def test_a_condition_that_can_never_hold_is_a_warning(condition: str) -> None:
    (problem,) = linted(cedar=f"\n{use(SEARCH, condition)}")
    assert (problem.file, problem.line) == ("x.cedar", 2)
    assert problem.message.startswith("`x` never applies")


@pytest.mark.parametrize(
    "condition",
    [
        'when { context.args.p == "a" || context.args.p == "b" }',
        'when { context.args.p like "/a/*" } unless { context.args.p like "/a/b/*" }',
        'when { resource.name == "search" }',
        "when { resource.destructive }",
        'when { principal in Mcp::Group::"x" }',
        'when { context.now > datetime("2026-01-01") }',
    ],
)
def test_a_condition_that_may_hold_is_left_alone(condition: str) -> None:
    assert linted(cedar=use(SEARCH, condition)) == []


def test_what_is_not_known_yet_is_left_alone() -> None:
    cedar = use("resource", 'when { resource.name == "nope" }')
    assert linted(cedar=cedar) == []  # `free` may have it
    assert linted(cedar=use(SEARCH, 'when { resource.name == "n" }'), approved=False) == []


PERMIT = '@id("p") permit(principal is Mcp::User, action in Mcp::Action::"use", '


@pytest.mark.parametrize(
    ("wider", "policy", "said"),
    [
        (
            use('resource in Mcp::Server::"desk"'),
            f"{PERMIT}{SEARCH});",
            "`p` never counts: `x` forbids all that it permits",
        ),
        (
            use('resource in Mcp::Server::"desk"'),
            use(SEARCH, 'when { context.args.q == "x" }', name="y"),
            "`y` adds nothing to `x`, which applies to all of it",
        ),
        (
            use(SEARCH),
            use(SEARCH, name="y"),
            "`y` adds nothing to `x`, which applies to all of it",
        ),
        (
            use(SEARCH),
            use(SEARCH, who='principal == Mcp::User::"a"', name="y"),
            "`y` adds nothing to `x`, which applies to all of it",
        ),
    ],
)
def test_a_policy_that_another_makes_idle_is_a_warning(
    wider: str, policy: str, said: str
) -> None:
    found = linted("", f"{wider}\n{policy}")
    assert [(it.line, it.message) for it in found] == [(2, said)]


@pytest.mark.parametrize(
    "policy",
    [
        use(SEARCH, who="principal is Mcp::Agent", name="y"),
        use('resource in Mcp::Server::"free"', name="y"),
        f'{PERMIT}resource in Mcp::Server::"desk");',
    ],
)
def test_policies_that_only_overlap_are_left_alone(policy: str) -> None:
    narrow = use(SEARCH, who="principal is Mcp::User")
    assert linted("", f"{narrow}\n{policy}") == []


def test_a_condition_makes_nothing_idle() -> None:
    narrow = use('resource in Mcp::Server::"desk"', 'when { context.args.q == "x" }')
    assert linted("", f"{narrow}\n{use(SEARCH, name='y')}") == []


def test_a_call_approval_makes_nothing_idle() -> None:
    ask = use(SEARCH).replace("forbid", '@obligation("approve") forbid')
    permit = f"{PERMIT}{SEARCH});"
    assert linted("", f"{ask}\n{permit}") == []


def test_a_right_that_is_forbidden_to_everybody_is_a_warning() -> None:
    tables = ROLE.replace('"desk:read"]', '"desk/search", "desk/get_*"]')
    (problem,) = linted(tables, use(SEARCH))
    assert problem.where == ("roles", "clerk", "allow", 0)
    assert problem.message.endswith("`desk/search` never counts: `x` forbids all of it")


@pytest.mark.parametrize(
    ("tables", "cedar", "unreachable"),
    [
        (ROLE, "", ["desk/wipe"]),
        (ROLE.replace('"desk:read"]', '"desk/*"]'), "", []),
        (ROLE.replace('"desk:read"]', '"desk/*"]'), use(SEARCH), ["desk/search"]),
        (
            ROLE.replace('"desk:read"]', '"desk/*"]'),
            use(SEARCH, who="principal is Mcp::User"),
            ["desk/search"],
        ),
        (
            ROLE.replace('"desk:read"]', '"desk/*"]'),
            use(SEARCH, 'when { context.args.q == "x" }'),
            [],
        ),
        (
            ROLE.replace('"desk:read"]', '"desk/*"]'),
            use(SEARCH, who='principal == Mcp::User::"x"'),
            [],
        ),
        (
            f'{ROLE}\n[agents.ceilings]\nbascule-cli = ["desk/se*"]',
            "",
            ["desk/get_one", "desk/get_two", "desk/wipe"],
        ),
        (
            '[roles.job]\nmembers = ["agent:job"]\nallow = ["desk/wipe"]\n'
            '[agents]\ndefault_ceiling = ["desk/*"]',
            "",
            ["desk/get_one", "desk/get_two", "desk/search"],
        ),
        (
            '[roles.job]\nmembers = ["agent:job"]\nallow = ["desk/*"]\n'
            '[agents.ceilings]\njob = ["desk/wipe"]\nbascule-cli = []',
            "",
            ["desk/get_one", "desk/get_two", "desk/search"],
        ),
    ],
)
def test_tools_that_nobody_can_use_are_named(
    tables: str, cedar: str, unreachable: list[str]
) -> None:
    assert unreachable_tools(made(tables, cedar)[1]) == unreachable
    assert unreachable_tools(made(tables, cedar, approved=False)[1]) == []


def test_who_acts_alone_may_use_prompts_too() -> None:
    """A condition on tools alone may hold for a prompt, of which not all are looked at."""
    cedar = (
        '@id("x") forbid(principal is Mcp::Agent, action in [Mcp::Action::"call_tool", '
        'Mcp::Action::"act_alone"], resource in Mcp::Server::"desk") '
        'when { resource has name && resource.name == "hello" };'
    )
    assert linted(cedar=cedar) == []


FLOWS = """
[labels]
in = ["desk/search"]
out = ["desk/wipe"]
none = []
"""


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ('after = ["in"]\nclose = ["out"]', ""),
        ('after = ["in", "none"]\nclose = ["none", "out"]', ""),
        ('after = ["none"]\nafter_all = ["in"]\nclose = ["out"]', ""),
        ('after = ["none"]\nclose = ["out"]', "never begins"),
        ('after_all = ["in", "none"]\nclose = ["out"]', "never begins"),
        ('after = ["in"]\nclose = ["none"]', "closes nothing: nothing has"),
        ('after = ["in"]', "closes nothing, and no policy reads"),
    ],
)
def test_flows_in_vain_are_named(flow: str, said: str) -> None:
    found = linted(f"{ROLE}{FLOWS}[flows.x]\n{flow}\n")
    assert [it.where for it in found] == ([("flows", "x")] if said else [])
    assert all(said in it.message for it in found)


@pytest.mark.parametrize(
    ("condition", "labels"),
    [
        ('context.touched.contains("in")', []),
        ('context.touched.contains("out")', ["out"]),
        ('context.touched.containsAny(["in", "In"])', ["In"]),
        ('context.touched.containsAll(["a", "b"]) && context.method == "c"', ["a", "b"]),
        ('context.scopes.contains("out")', []),
    ],
)
def test_labels_that_never_count_are_named(condition: str, labels: list[str]) -> None:
    tables = f'{ROLE}{FLOWS}[flows.x]\nafter = ["in"]\nclose = ["out"]\n'
    found = linted(tables, use("resource", f"when {{ {condition} }}"))
    assert [it.message for it in found] == [
        f"`x` asks for `{it}`, with which no flow begins" for it in labels
    ]
    assert all((it.file, it.line) == ("x.cedar", 1) for it in found)


LIMITED = b"""{"properties": {
    "mode": {"type": "string", "enum": ["fast", "slow"]},
    "n": {"type": "integer", "maximum": 9}
}, "required": ["mode", "n"]}"""


@pytest.mark.parametrize(
    ("condition", "mode", "vain"),
    [
        ('context.args.mode == "medium"', "enforce", True),
        ("context.args.n > 9", "enforce", True),
        ('context.args.mode == "slow" && context.args.n > 8', "enforce", False),
        ('context.args.mode == "medium"', "warn", False),
    ],
)
def test_a_rule_for_arguments_that_no_tool_takes_is_in_vain(
    condition: str, mode: Mode, vain: bool
) -> None:
    """Where calls that do not fit are not refused, they may come all the same."""
    pin = {"d": ToolPin(LIMITED)}
    gate = replace(APPROVED, mode=mode, tools={"wipe": pin, "search": pin})
    config = load(CONNECTORS + ROLE, source="bascule.toml")
    text = use('resource == Mcp::Tool::"desk/wipe"', f"when {{ {condition} }}")
    snapshot = build_snapshot(config, {"x.cedar": text}, {"desk": gate, "free": None})
    said = [it.message for it in lints(config, snapshot) if it.file == "x.cedar"]
    assert any("takes such arguments" in it for it in said) is vain
