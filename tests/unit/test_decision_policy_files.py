"""What is wrong with policies, and on which line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.problems import PolicyError
from bascule.decision.snapshot import build_snapshot, policy_problems

TICKETS = Connector(url="https://tickets.example/mcp", mode="observe")
CONFIG = Config(
    connectors={"tickets": TICKETS, "time": Connector(command=("x",), mode="observe")},
    toolsets={"tickets:read": ("tickets/search",)},
    roles={"support": Role(("group:support",), ("tickets:read",))},
)


def found(*files: str, config: Config = CONFIG) -> list[tuple[str, int, str, str]]:
    named = {f"{n}.cedar": text for n, text in enumerate(files)}
    return [
        (it.file, it.line, it.severity, it.message) for it in policy_problems(config, named)
    ]


GOOD = """\
// A comment; with a semicolon, and "quotes
@id("one")
permit(principal in Mcp::Role::"support", action in Mcp::Action::"use",
       resource in Mcp::Server::"time")
when { context.method != "a;b\\";" }; @id("two") forbid(principal, action, resource)
when { context.scopes.contains("x") };
"""


def test_good_policies_have_no_problems() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("added", "line", "message"),
    [
        ("permit(principal, action, resource)", 7, "unexpected end of input"),
        ('@id("x")\npermit(principal action,\nresource);', 8, "unexpected token `action`"),
        ("nonsense;", 7, "unexpected token"),
        (
            '\n\n@id("x")\npermit(principal, action, resource) when { 1 };',
            9,
            "unexpected type",
        ),
        ('@id("x") permit(principal == Mcp::Usr::"x", action, resource);', 7, "Mcp::Usr"),
        (
            '@id("x") permit(principal, action == Mcp::Action::"callTool", resource);',
            7,
            "callTool",
        ),
        (
            '@id("x") permit(principal, action == Mcp::Action::"use", resource);',
            7,
            "unable to find an applicable action",
        ),
        (
            '@id("x") permit(principal is Mcp::User, action == Mcp::Action::"act_alone",'
            " resource);",
            7,
            "unable to find an applicable action",
        ),
        (
            '@id("x") permit(principal, action, resource) when { resource.name == "x" };',
            7,
            "attribute `name` on entity type `Mcp::Resource` not found",
        ),
        (
            '@id("x") forbid(principal, action, resource)\nwhen'
            ' { context.user == Mcp::User::"x" };',
            7,
            "optional attribute `user`",
        ),
        ('@id("x") permit(principal == ?principal, action, resource);', 7, "template"),
        ("forbid(principal, action, resource);", 7, 'has no `@id("…")`'),
        ('@id("") forbid(principal, action, resource);', 7, 'has no `@id("…")`'),
        ('@id("two") forbid(principal, action, resource);', 7, "given to two policies"),
        ('@id("role:x/y") forbid(principal, action, resource);', 7, "`role:x/y`"),
        ('@id("scope:x") forbid(principal, action, resource);', 7, "`scope:x`"),
        ('@id("ceiling:x") forbid(principal, action, resource);', 7, "`ceiling:x`"),
        ('@id("a\\nb") forbid(principal, action, resource);', 7, "must be printable"),
        ('@id("a`b") forbid(principal, action, resource);', 7, "must be printable"),
        (
            '@id("x") forbid(principal, action, resource in Mcp::Server::"tikets");',
            7,
            '`Mcp::Server::"tikets"` does not exist',
        ),
        (
            '@id("x") forbid(principal, action, resource in Mcp::Toolset::"tickets:reed");',
            7,
            '`Mcp::Toolset::"tickets:reed"` does not exist',
        ),
        (
            '@id("x") forbid(principal in Mcp::Role::"suport", action, resource);',
            7,
            '`Mcp::Role::"suport"` does not exist',
        ),
        (
            '@id("x") forbid(principal, action, resource == Mcp::Tool::"search");',
            7,
            "is not of the form `CONNECTOR/NAME`",
        ),
        (
            '@id("x") forbid(principal, action, resource)'
            ' when { resource in [Mcp::Server::"tikets"] };',
            7,
            '`Mcp::Server::"tikets"` does not exist',
        ),
        (
            '@id("x") forbid(principal == Mcp::User::"user:eve", action, resource);',
            7,
            "write it without `user:`",
        ),
        (
            '@id("x") forbid(principal in Mcp::Group::"group:x", action, resource);',
            7,
            "write it without `group:`",
        ),
        (
            '@id("x") forbid(principal == Mcp::Token::"jti", action, resource);',
            7,
            '`Mcp::Token::"jti"` does not exist',
        ),
        (
            '@id("x") forbid(principal, action, resource)'
            ' when { Mcp::User::"eve" in Mcp::Group::"g" };',
            7,
            "asks what an entity that is written out is `in`",
        ),
    ],
)
def test_an_error_names_its_line(added: str, line: int, message: str) -> None:
    problems = [it for it in found(GOOD + added) if it[2] == "error"]
    assert len(problems) >= 1
    assert {it[:3] for it in problems} == {("0.cedar", line, "error")}
    assert any(message in it[3] for it in problems)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("permit(principal, action, resource);", "permits every connector"),
        (
            'permit(principal, action in Mcp::Action::"use", resource is Mcp::Tool);',
            "permits every connector to every principal",
        ),
        ("permit(principal is Mcp::User, action, resource);", "permits every connector"),
        (
            'permit(principal, action, resource in Mcp::Server::"time");',
            "lets agents act by themselves too",
        ),
        (
            "permit(principal is Mcp::Agent, action, resource)"
            ' when { context.agent == Mcp::Agent::"x" };',
            "lets agents act by themselves too",
        ),
        ("forbid(principal, action, resource) when { false };", "never applies"),
        ("forbid(principal, action, resource) unless { true };", "never applies"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(policy: str, message: str) -> None:
    problems = found(f'\n@id("x") {policy}')
    assert {it[:3] for it in problems} == {("0.cedar", 2, "warning")}
    assert message in problems[0][3]


@pytest.mark.parametrize(
    "policy",
    [
        'permit(principal in Mcp::Group::"nobody-yet", action, resource);',
        'permit(principal == Mcp::User::"nobody", action, resource);',
        'permit(principal in Mcp::Scope::"any", action, resource);',
        'forbid(principal, action, resource == Mcp::Tool::"tickets/not-yet");',
        "forbid(principal, action, resource)"
        ' when { {type: "Mcp::Server", id: context.method} == {type: "a", id: "b"} };',
        '@type("Mcp::Server") forbid(principal, action, resource);',
    ],
)
def test_names_that_come_and_go_are_no_problem(policy: str) -> None:
    assert found(f'@id("x") {policy}') == []


def test_one_id_in_two_files_is_refused_in_the_second() -> None:
    policy = '@id("x") forbid(principal, action, resource);'
    assert [(it[0], it[1], it[2]) for it in found(policy, policy)] == [
        ("1.cedar", 1, "error")
    ]


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        (
            {"roles": {"r": Role(("user:a",), ("time/x", "tikets/x"))}},
            ("roles", "r", "allow", 1),
            "roles.r.allow[1]: connector `tikets` does not exist",
        ),
        (
            {"roles": {"r": Role(("user:a",), ("tickets:write",))}},
            ("roles", "r", "allow", 0),
            "roles.r.allow[0]: toolset `tickets:write` does not exist",
        ),
        (
            {"roles": {"r": Role(("user:a",), ("*",))}},
            ("roles", "r", "allow", 0),
            "roles.r.allow[0]: `*` covers more than one connector: "
            "write one entry for each, `CONNECTOR/*`",
        ),
        (
            {"toolsets": {**CONFIG.toolsets, "tickets:x": ("tickets/a", "time/b")}},
            ("toolsets", "tickets:x", 1),
            'toolsets."tickets:x"[1]: `time/b` is not of connector `tickets`',
        ),
        (
            {"toolsets": {**CONFIG.toolsets, "tickets:x": ("tickets:read",)}},
            ("toolsets", "tickets:x", 0),
            'toolsets."tickets:x"[0]: `tickets:read` is a toolset: write out what it holds',
        ),
        (
            {"toolsets": {**CONFIG.toolsets, "tikets:x": ()}},
            ("toolsets", "tikets:x"),
            'toolsets."tikets:x": connector `tikets` does not exist',
        ),
        (
            {"toolsets": {**CONFIG.toolsets, "tickets/x": ()}},
            ("toolsets", "tickets/x"),
            'toolsets."tickets/x": is not of the form `CONNECTOR:NAME`',
        ),
        (
            {"agents": Agents(default_ceiling=("time",))},
            ("agents", "default_ceiling", 0),
            "agents.default_ceiling[0]: `time` is neither `CONNECTOR/TOOL`, "
            "`CONNECTOR/prompt:NAME`, `CONNECTOR/resource:URI`, `CONNECTOR/*` "
            "nor a toolset `CONNECTOR:NAME`",
        ),
        (
            {"agents": Agents(ceilings={"https://a.example/c": ("x/y",)})},
            ("agents", "ceilings", "https://a.example/c", 0),
            'agents.ceilings."https://a.example/c"[0]: connector `x` does not exist',
        ),
        (
            {"scopes": {"mcp:tickets": ("time/*",)}},
            ("scopes", "mcp:tickets"),
            'scopes."mcp:tickets": scopes that begin with `mcp:` are built in',
        ),
    ],
)
def test_a_bad_configuration_is_refused_with_its_path(
    config: dict[str, object], where: tuple[str | int, ...], message: str
) -> None:
    bad = replace(CONFIG, **config)
    (problem,) = policy_problems(bad, {})
    assert (problem.severity, problem.where, problem.message) == ("error", where, message)
    with pytest.raises(PolicyError) as raised:
        build_snapshot(bad, {})
    assert raised.value.problems == (problem,)
    assert message in str(raised.value)


def test_two_names_that_make_one_policy_id_are_refused() -> None:
    roles = {
        "a": Role(("user:x",), ("tickets/time/search",)),
        "a/tickets": Role(("user:y",), ("time/search",)),
    }
    problems = found(config=Config(connectors=CONFIG.connectors, roles=roles))
    assert [it[2] for it in problems] == ["error"]
    assert "`role:a/tickets/time/search`" in problems[0][3]


def test_a_role_without_members_and_an_entry_twice_are_warnings() -> None:
    roles = {
        "empty": Role((), ("time/now",)),
        "twice": Role(("user:a",), ("time/now", "time/now")),
    }
    config = Config(connectors=CONFIG.connectors, roles=roles)
    assert [(it[2], it[3]) for it in found(config=config)] == [
        ("warning", "roles.empty: nobody can have it: it has no members"),
        ("warning", "roles.twice.allow[1]: `time/now` stands here already"),
    ]
    build_snapshot(config, {})


def test_every_problem_is_reported_at_once() -> None:
    roles = {"r": Role(("user:a",), ("a/b", "c/d"))}
    config = Config(connectors=CONFIG.connectors, roles=roles)
    text = (
        'forbid(principal, action, resource);\n@id("x") forbid(principal, action, resource)'
    )
    assert len(found(text, "permit(;", config=config)) == 4


def test_the_examples_of_the_reference_are_valid() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/policies.md").read_text()
    toml, cedar = (
        page.partition(f"```{language}\n")[2].partition("```")[0]
        for language in ("toml", "cedar")
    )
    names = ("tickets", "time", "docs")
    tables = {**tomllib.loads(toml), "connectors": {name: {"url": "x"} for name in names}}
    assert found(cedar, config=msgspec.convert(tables, Config)) == []
    assert "forbid(" in cedar


def nested(form: str, times: int) -> str:
    match form:
        case "or":
            condition = " || ".join(f'context.args.a == "{n}"' for n in range(times))
        case "not":
            condition = "!(" * times + "context has user" + ")" * times
        case "dot":
            condition = "context" + ".a" * times
        case _:
            condition = "[" * times + "]" * times + ".isEmpty()"
    return f'@id("deep") forbid(principal, action, resource) when {{ {condition} }};'


@pytest.mark.parametrize("form", ["or", "not", "dot", "set"])
@pytest.mark.parametrize("times", [90, 1_000, 30_000])
def test_a_policy_that_is_nested_too_deeply_is_refused(form: str, times: int) -> None:
    """Cedar could not evaluate it, and by much more depth would end the process."""
    found = policy_problems(CONFIG, {"x.cedar": f"\n{nested(form, times)}"})
    assert [it.line for it in found if it.severity == "error"]


@pytest.mark.parametrize("form", ["or", "not"])
def test_a_policy_of_ordinary_depth_is_read(form: str) -> None:
    assert not policy_problems(CONFIG, {"x.cedar": nested(form, 40)})
