"""Samples of arguments: accepted by ordinary schemas, and bounded for all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bascule.decision.argument_samples import Samples
from bascule.decision.argument_schema import ArgumentSchema

ORDINARY: list[dict[str, Any]] = [
    {"type": "object"},
    {
        "properties": {
            "path": {"type": "string", "minLength": 12},
            "when": {"type": "string", "format": "date-time"},
            "n": {"type": "integer", "minimum": 5},
            "x": {"type": "number", "exclusiveMaximum": 0},
            "mode": {"enum": ["fast", "slow"]},
            "kind": {"const": 7},
            "flag": {"type": "boolean"},
            "none": {"type": "null"},
            "either": {"type": ["string", "null"]},
            "items": {
                "type": "array",
                "minItems": 2,
                "items": {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}},
                    "required": ["a"],
                },
            },
            "choice": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
        "required": [
            "path",
            "when",
            "n",
            "x",
            "mode",
            "kind",
            "flag",
            "none",
            "either",
            "items",
            "choice",
        ],
        "additionalProperties": False,
    },
    {
        "$ref": "#/$defs/all",
        "$defs": {
            "all": {
                "allOf": [
                    {"properties": {"a": {"$ref": "#/$defs/a~1b"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
                ]
            },
            "a/b": {"type": "string", "minLength": 2},
        },
    },
]


@pytest.mark.parametrize("schema", ORDINARY)
def test_a_sample_is_accepted(schema: dict[str, Any]) -> None:
    text = json.dumps(schema).encode()
    sample = Samples(text).sample()
    assert ArgumentSchema(text).complaint(sample, allow_unknown=True) is None


def test_what_is_sure_holds_whatever_else_does() -> None:
    schema = {
        "properties": {"a": {"type": "string", "allOf": [{"minLength": 3}]}},
        "anyOf": [{"properties": {"a": {"enum": ["x"]}}}, {"required": ["b"]}],
        "if": {"required": ["c"]},
        "allOf": [{"required": ["a"]}],
    }
    samples = Samples(json.dumps(schema).encode())
    assert samples.at(["a"]) == [schema["properties"]["a"], {"minLength": 3}]  # type: ignore[index]
    assert samples.requires(["a"])
    assert not samples.requires(["b"])
    assert not samples.requires(["c"])


def test_what_may_be_null_may_be_missing() -> None:
    kinds: list[object] = [["string", "null"], "null", None]
    for kind in kinds:
        part = {} if kind is None else {"type": kind}
        schema = {"properties": {"a": part}, "required": ["a"]}
        assert not Samples(json.dumps(schema).encode()).requires(["a"])


HOSTILE: list[dict[str, Any]] = [
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]},
    {"$ref": "https://example.org/"},
    {"$ref": "#/nowhere"},
    {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
    {
        "type": "object",
        "required": list("abcdefgh"),
        "properties": {it: {"$ref": "#"} for it in "abcdefgh"},
    },
    {"required": [f"n{n}" for n in range(20_000)]},
    {"type": "array", "minItems": 10**12, "items": {"$ref": "#"}},
    {"properties": [], "required": 7, "allOf": {}, "enum": {}, "examples": 3},
    {"type": "string", "minLength": 10**12},
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_a_hostile_schema_costs_little(schema: dict[str, Any]) -> None:
    samples = Samples(json.dumps(schema).encode())
    assert len(json.dumps(samples.sample())) < 100_000
    assert len(samples.at(["a", "a", "a"])) < 5_000
    samples.requires(["a", "a"])
