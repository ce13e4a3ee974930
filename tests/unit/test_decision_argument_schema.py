"""Arguments held against input schemas, friendly and hostile ones."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from bascule.decision.argument_schema import MAX_SCHEMA_BYTES, ArgumentSchema, schema_of

READ = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer", "minimum": 0},
        "order": {"enum": ["up", "down"]},
        "id": {"type": "string", "pattern": "^[a-z]+$"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["path"],
}


def complaint(schema: Any, arguments: dict[str, Any], **options: Any) -> str | None:
    made = ArgumentSchema(json.dumps(schema).encode())
    assert made.problem == ""
    return made.complaint(arguments, **options)


def problem(schema: Any) -> str:
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    made = ArgumentSchema(text)
    assert made.problem
    # Nothing passes a schema that cannot be used.
    assert made.problem in (made.complaint({}) or "")
    return made.problem


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/a"},
        {"path": "/a", "limit": 3, "order": "up", "id": "abc", "note": None},
        {"path": "/a", "limit": 3.0},
    ],
)
def test_what_fits_passes(arguments: dict[str, Any]) -> None:
    assert complaint(READ, arguments) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, '"path" is a required property'),
        ({"path": 5}, '`path`: the value is not of type "string"'),
        ({"path": "", "limit": -1}, "`limit`: the value is less than the minimum of 0"),
        ({"path": "", "limit": 1.5}, '`limit`: the value is not of type "integer"'),
        ({"path": "", "order": "s3cr3t"}, "`order`: the value is not one of"),
        ({"path": "", "id": "S3CR3T"}, "`id`: the value does not match"),
        ({"path": "", "pth": "s3cr3t"}, "`pth` is not an argument of this tool"),
    ],
)
def test_a_complaint_names_the_argument_and_never_its_value(
    arguments: dict[str, Any], said: str
) -> None:
    found = complaint(READ, arguments) or ""
    assert said in found
    assert "s3cr3t" not in found.lower()


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        ({"type": "object"}, True),
        ({}, True),
        ({"properties": {"a": {}}}, True),
        ({"additionalProperties": False}, True),
        ({"additionalProperties": True}, False),
        ({"additionalProperties": {}}, False),
        ({"patternProperties": {"^x": {}}}, False),
        ({"allOf": [{"properties": {"x": {}}}]}, False),
        ({"anyOf": [{"properties": {"a": {}}}, {"properties": {"x": {}}}]}, False),
        ({"if": {"required": ["a"]}, "then": {"properties": {"x": {}}}}, False),
        ({"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"x": {}}}}}, False),
        ({"$ref": "#t", "$defs": {"t": {"$anchor": "t", "properties": {"x": {}}}}}, False),
        ({"$defs": {"t": {"properties": {"x": {}}}}}, True),
    ],
)
def test_an_argument_that_the_schema_does_not_have_is_refused(
    schema: dict[str, Any], refused: bool
) -> None:
    assert (complaint(schema, {"x": 1}) is not None) is refused
    if schema.get("additionalProperties") is not False:  # that says the schema itself
        assert complaint(schema, {"x": 1}, allow_unknown=True) is None


def test_members_that_an_object_does_not_have_are_refused_at_every_level() -> None:
    schema = {
        "properties": {
            "closed": {"properties": {"path": {"type": "string"}}},
            "free": {"type": "object"},
            "listed": {"type": "array", "items": {"properties": {"a": {}}}},
        }
    }
    assert complaint(schema, {"closed": {"path": "x"}, "free": {"any": 1}}) is None
    assert "`closed`: `filePath`" in str(complaint(schema, {"closed": {"filePath": ""}}))
    assert "`listed.1`: `b`" in str(complaint(schema, {"listed": [{"a": 1}, {"b": 1}]}))


def test_older_dialects_are_read_as_they_say() -> None:
    tuples = {"properties": {"a": {"items": [{"type": "string"}, {"type": "integer"}]}}}
    old = {"$schema": "http://json-schema.org/draft-07/schema#", **tuples}
    assert complaint(old, {"a": ["x", 1]}) is None
    assert complaint(old, {"a": [1, "x"]}) is not None
    assert "b" in str(complaint(old, {"b": 1}))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"$id": "http://evil.example/a", "$ref": "b"},
        {"properties": {"a": {"$dynamicRef": "https://evil.example/#x"}}},
        {"$schema": "http://evil.example/meta"},
        {"properties": {"a": {"$id": "http://evil.example/", "$ref": "#/x"}}},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"type": 5},
        {"required": "path"},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"pattern": "(a{1000}){1000}"}}},
        [],
        b"no json",
        b"",
        json.dumps({"description": "x" * MAX_SCHEMA_BYTES}).encode(),
        b'{"properties":' * 5000 + b"{}" + b"}" * 5000,
    ],
)
def test_a_schema_that_cannot_be_used_refuses_everything(schema: Any) -> None:
    problem(schema)


def test_nothing_is_fetched_wherever_a_schema_asks_for_it() -> None:
    """Also where nothing refers to, which a reading from the root does not see."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for schema in (
            {"$defs": {"unused": {"$ref": url}}},
            {"$schema": url},
            {"properties": {"a": {"not": {"$ref": url}}}},
            {"$id": url, "$ref": "y"},
        ):
            problem(schema)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_references_that_fan_out_are_refused_before_they_cost_anything() -> None:
    parts: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
    }
    parts["d40"] = {"type": "object"}
    assert "fan out" in problem({"$defs": parts, "$ref": "#/$defs/d0"})


@pytest.mark.parametrize(
    "part",
    [
        {"$ref": "#/$defs/d0"},
        {"items": {"allOf": [{"$ref": "#/$defs/d0"}]}},
        {"additionalProperties": {"$ref": "#/$defs/d0"}},
        {"propertyNames": {"$ref": "#/$defs/d0"}},
        {"properties": {"b": {"$id": "https://other.example/"}}},
    ],
)
def test_what_is_wrong_deep_inside_is_known_before_the_first_call(part: Any) -> None:
    chain: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(2000)}
    chain["d2000"] = {"type": "string"}
    problem({"properties": {"a": part}, "$defs": chain})


def test_a_schema_with_too_many_parts_is_refused() -> None:
    many: dict[str, Any] = {f"p{n}": {} for n in range(9000)}
    assert "too many parts" in problem({"properties": many})


def test_a_schema_that_says_much_of_each_part_is_refused() -> None:
    wide = {"allOf": [{"minLength": n} for n in range(1000)]}
    many = {f"p{n}": {"$ref": "#/$defs/w", "maxLength": n} for n in range(500)}
    assert "too much" in problem({"properties": many, "$defs": {"w": wide}})


def test_loops_of_references_end() -> None:
    assert complaint({"$ref": "#"}, {}) is None
    both = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "properties": {"a": {"$ref": "#"}}}
    assert complaint(both, {"a": {"a": {}}}) is None


def test_alternatives_that_double_at_each_level_end_the_call_not_the_server() -> None:
    """A validator may visit 2^60 subschemas for this; here it is never asked."""
    branch = {"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"]}
    schema = {
        "$defs": {"n": {"anyOf": [{"type": "string"}, branch, dict(branch)]}},
        "properties": {"q": {"$ref": "#/$defs/n"}},
    }
    deep: Any = "x"
    for _ in range(60):
        deep = {"a": deep}
    assert complaint(schema, {"q": deep}) == (
        "the arguments have more parts than can be checked"
    )
    assert complaint(schema, {"q": {"a": {"a": "x"}}}) is None


@pytest.mark.parametrize(
    "pattern",
    ["(a|b)*a(a|b){500}c", "(?=a)(a|a)*b", "(?=.*\\d)(?=.*[a-z]).+", "(a+)+\\1$"],
)
def test_a_pattern_that_backtracks_refuses_within_bounds(pattern: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}}}
    assert complaint(schema, {"a": "a" * 2000}) is not None
    assert "longer" in str(complaint(schema, {"a": "a" * 100_000}))
    listed = {"properties": {"a": {"items": {"pattern": pattern}}}}
    assert complaint(listed, {"a": ["a" * 2000] * 100}) is not None


def test_deep_and_huge_arguments_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert complaint({"properties": {"a": {"$ref": "#"}}}, deep) == (
        "the arguments are nested too deeply"
    )
    distinct = {"properties": {"a": {"uniqueItems": True}}}
    assert complaint(distinct, {"a": [deep, deep]}) is not None
    items = {"properties": {"a": {"items": {"properties": {"b": {}}}}}}
    assert "more parts" in str(complaint(items, {"a": [{"b": 1}] * 200_000}))
    assert (
        complaint({"properties": {"a": {"type": "string"}}}, {"a": "x" * 4_000_000}) is None
    )


def test_a_schema_is_made_ready_once() -> None:
    text = json.dumps(READ).encode()
    assert schema_of(text) is schema_of(bytes(text))
