"""Policies that read arguments, validated against the tools that they cover."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bascule.config.model import ArgumentForm, Config, Connector
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.problems import Problem
from bascule.decision.snapshot import build_snapshot
from bascule.decision.typed_policies import argument_problems

READ: dict[str, Any] = {
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer"},
        "price": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "deep": {"properties": {"on": {"type": "boolean"}, "any": {}}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
    },
    "required": ["path", "note"],
}
SEARCH: dict[str, Any] = {"properties": {"query": {"type": "string"}}}
HEAD = 'forbid(principal, action == Mcp::Action::"call_tool", resource'


def problems(
    text: str,
    tools: dict[str, Any] | None = None,
    *,
    missing: Reason | None = None,
    forms: dict[str, ArgumentForm] | None = None,
) -> list[Problem]:
    given = {"read": READ, "search": SEARCH} if tools is None else tools
    connector = Connector(command=("fs",), arguments=forms or {})
    config = Config(connectors={"fs": connector})
    pins = {
        name: {"d": ToolPin(schema=json.dumps(schema).encode())}
        for name, schema in given.items()
    }
    gate = Gate(mode="enforce", tools=pins, missing=missing)
    made = build_snapshot(config, {"policies/a.cedar": text}, {"fs": gate})
    return argument_problems(made)


def of_read(condition: str, **options: Any) -> list[Problem]:
    head = f'\n\n@id("it") {HEAD} == Mcp::Tool::"fs/read")'
    return problems(f"{head} when {{ {condition} }};", **options)


@pytest.mark.parametrize(
    "condition",
    [
        'context.args.path like "/secret/*"',
        "context.args has limit && context.args.limit > 3",
        'context.args has price && context.args.price.lessThan(decimal("1.5"))',
        'context.args has tags && context.args.tags.contains("x")',
        "context.args has deep.on && context.args.deep.on",
        'context.args has note && context.args.note == "x"',
    ],
)
def test_a_policy_that_fits_has_no_problem(condition: str) -> None:
    assert of_read(condition) == []


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('context.args.pth == "x"', "pth"),
        ("context.args.path > 3", "expected"),
        ("context.args.limit > 3", "limit"),
        ('context.args.note == "x"', "note"),
        ('context.args has either && context.args.either == "x"', "no policy can read"),
        ("context.args has deep.any && context.args.deep.any == 1", "`deep.any`"),
        ('context.args.path == "/a/../b"', "compared as `/b`"),
        ('["/a/", "/b"].contains(context.args.path)', "compared as `/a`"),
        ('context.args.path == "/a%2fb"', "is never"),
        ('context.args.path like "/a/../b/*"', "never begins with"),
        ('context.args.path like "//a*"', "never begins with"),
    ],
)
def test_a_policy_that_does_not_fit_is_an_error_at_its_line(
    condition: str, said: str
) -> None:
    (found,) = of_read(condition)
    assert (found.file, found.line, found.severity) == ("policies/a.cedar", 3, "error")
    assert said in found.message
    assert "`fs/read`" in found.message


def test_each_tool_that_a_policy_covers_must_fit() -> None:
    everything = f'@id("it") {HEAD} in Mcp::Server::"fs")'
    (found,) = problems(f'{everything} when {{ context.args.path like "/x*" }};')
    assert "`fs/search`" in found.message
    assert "`fs/read`" not in found.message
    asks = 'context.args has path && context.args.path like "/x*"'
    assert problems(f"{everything} when {{ {asks} }};") == []


def test_many_tools_with_one_complaint_are_one_problem() -> None:
    tools = {f"t{n}": SEARCH for n in range(9)}
    text = f'@id("it") {HEAD} in Mcp::Server::"fs") when {{ context.args.path == "/x" }};'
    (found,) = problems(text, tools)
    assert "`fs/t0`, `fs/t1`, `fs/t2` and 6 more" in found.message


def test_what_is_not_approved_is_not_held_against_a_policy() -> None:
    condition = 'context.args.nothing == "x"'
    assert of_read(condition, missing=Reason.NOT_APPROVED) == []


def test_a_declared_form_is_that_of_the_policies_too() -> None:
    condition = 'context.args.path == "Acme/X"'
    assert of_read(condition) == []
    (found,) = of_read(condition, forms={"path": "nocase"})
    assert "compared as `acme/x`" in found.message


def test_a_schema_that_cannot_be_used_is_a_warning() -> None:
    (found,) = problems("", {"odd": {"$ref": "https://elsewhere.example/x"}})
    assert found.severity == "warning"
    assert found.where == ("connectors", "fs")
    assert "another document" in found.message


@pytest.mark.parametrize(
    "name", ["CONTEXT", " ARGS", '"}, x: {', "a b", "__extn", "if", "\u202e", "\x00", ""]
)
def test_hostile_names_of_arguments_stay_names(name: str) -> None:
    tools = {"read": {"properties": {name: {"type": "string"}, "ok": {"type": "string"}}}}
    text = f'@id("it") {HEAD} == Mcp::Tool::"fs/read") when {{ %s }};'
    assert problems(text % 'context.args has ok && context.args.ok == "1"', tools) == []
    escaped = "".join(f"\\u{{{ord(it):x}}}" for it in name)
    reads = f'context.args has "{escaped}" && context.args["{escaped}"] == "1"'
    found = problems(text % reads, tools)
    assert (found == []) is (name != "__extn")


def test_a_recursive_schema_has_types_as_far_as_they_go() -> None:
    tree = {
        "properties": {
            "name": {"type": "string"},
            "child": {"$ref": "#"},
        }
    }
    asks = 'context.args has name && context.args.name == "x"'
    text = f'@id("it") {HEAD} == Mcp::Tool::"fs/read") when {{ %s }};'
    assert problems(text % asks, {"read": tree}) == []
    deeper = 'context.args has child.name && context.args.child.name == "x"'
    assert problems(text % deeper, {"read": tree}) == []


def test_an_argument_that_no_covered_tool_has_is_an_error() -> None:
    """Behind `has` Cedar finds nothing wrong with it."""
    (found,) = of_read('context.args has pth && context.args.pth == "x"')
    assert "asks for `pth`, which no approved tool that it covers has" in found.message
    (found,) = of_read("context.args has deep.off && context.args.deep.off")
    assert "`deep.off`" in found.message
    tools = {"read": READ, "open": {"additionalProperties": True}}
    text = f'@id("it") {HEAD}) when {{ context.args has pth && context.args.pth == "x" }};'
    assert problems(text, tools) == []


def test_what_alternatives_say_is_optional_and_of_their_kinds() -> None:
    schema = {
        "anyOf": [
            {"properties": {"path": {"type": "string"}}, "required": ["path"]},
            {"properties": {"url": {"type": "string"}}, "required": ["url"]},
        ],
        "properties": {
            "mixed": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "kind": {"oneOf": [{"const": "a"}, {"const": "b"}]},
        },
        "required": ["kind"],
    }
    text = f'@id("it") {HEAD} == Mcp::Tool::"fs/read") when {{ %s }};'
    for fine in (
        'context.args has path && context.args.path == "/x"',
        'context.args.kind == "a"',
    ):
        assert problems(text % fine, {"read": schema}) == []
    for wrong in (
        'context.args.path == "/x"',
        'context.args has mixed && context.args.mixed == "x"',
    ):
        assert len(problems(text % wrong, {"read": schema})) == 1


def test_a_declared_argument_that_no_tool_has_is_a_warning() -> None:
    fine: dict[str, ArgumentForm] = {
        "path": "path",
        "read/path": "path",
        "deep.on": "text",
        "search/query": "name",
    }
    assert problems("", forms=fine) == []
    for wrong in ("pth", "search/path", "deep.off", "write/path"):
        (found,) = problems("", forms={wrong: "path"})
        assert found.severity == "warning"
        assert found.where == ("connectors", "fs", "arguments", wrong)
