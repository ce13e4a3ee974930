"""Whatever a schema and its arguments are, what is said of them holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bascule.decision.argument_reads import Wanted
from bascule.decision.argument_schema import ArgumentSchema
from bascule.decision.argument_shapes import Shape
from bascule.decision.argument_types import (
    MAX_INTEGER,
    UnreadableError,
    cedar_arguments,
    cedar_type,
)
from bascule.decision.canonical import (
    AmbiguousError,
    canonical_caseless,
    canonical_host,
    canonical_name,
    canonical_path,
    canonical_url,
)
from bascule.decision.cedar import violations_with
from bascule.decision.schema_document import kind_of

FORMS = [canonical_path, canonical_url, canonical_host, canonical_name, canonical_caseless]
KINDS = ["string", "integer", "number", "boolean", "null", "array", "object"]
names = st.sampled_from(["a", "b", "path", "__extn", "\u00e9", ""])
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1e300]), st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=6,
)
leaves = st.one_of(
    st.booleans(),
    st.builds(dict, type=st.sampled_from(KINDS)),
    st.builds(dict, type=st.lists(st.sampled_from(KINDS), min_size=1, unique=True)),
    st.builds(dict, enum=st.lists(scalars, min_size=1, max_size=3)),
    st.builds(dict, const=scalars),
    st.sampled_from(
        [{"$ref": "#"}, {"$ref": "#/$defs/d"}, {"minimum": 0}, {"pattern": "a"}]
    ),
)


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(names, inner, max_size=3)
    several = st.lists(inner, min_size=1, max_size=2)
    return st.one_of(
        st.builds(
            dict,
            type=st.just("object"),
            properties=members,
            required=st.lists(names, max_size=2),
        ),
        st.builds(
            dict,
            type=st.just(["object", "null"]),
            properties=members,
            additionalProperties=inner,
        ),
        st.builds(dict, type=st.just("array"), items=inner),
        st.builds(dict, type=st.just(["array", "string"]), prefixItems=several),
        st.builds(dict, anyOf=several),
        st.builds(dict, oneOf=several),
        st.builds(dict, allOf=several),
        st.builds(lambda it, then: {"if": it, "then": then}, inner, inner),
        st.builds(lambda it: {"not": it}, inner),
        st.builds(lambda it: {"patternProperties": {"^a": it}}, inner),
    )


parts = st.recursive(leaves, deeper, max_leaves=6)
schemas = st.builds(
    lambda members, needed, more, d: {
        "type": "object",
        "properties": members,
        "required": needed,
        "$defs": {"d": d},
        **more,
    },
    st.dictionaries(names, parts, max_size=3),
    st.lists(names, max_size=1),
    st.one_of(st.just({}), st.builds(dict, allOf=st.lists(parts, max_size=2))),
    parts,
)
arguments = st.dictionaries(names, values, max_size=3)


def made(schema: Any) -> ArgumentSchema:
    return ArgumentSchema(json.dumps(schema).encode())


@settings(max_examples=150)
@given(schemas, arguments)
@example({"$ref": "#/$defs/d", "$defs": {"d": {"$ref": "#"}}}, {})
def test_what_passes_fits_the_schema_and_its_shape(
    schema: dict[str, Any], given: dict[str, Any]
) -> None:
    """The static reading is never narrower than what a validator takes."""
    checked = made(schema)
    if checked.problem:
        return
    valid = jsonschema_rs.Draft202012Validator(schema, offline=True).is_valid(given)
    complaint = checked.complaint(given)
    if complaint is None:
        assert valid
    elif valid:
        assert "is not an argument" in complaint
    if valid:
        check_shape(given, checked.shape)


def check_shape(value: Any, shape: Shape) -> None:
    if not shape.is_certain:
        return  # only alternatives speak of it, and none of them may apply
    kind = kind_of(value)
    assert kind in shape.kinds or (kind == "integer" and "number" in shape.kinds)
    if not isinstance(value, dict):
        return
    assert value.keys() >= shape.required
    for name in value.keys() & shape.names:
        check_shape(value[name], shape.member(name)[0])


@settings(max_examples=100)
@given(schemas, arguments)
def test_types_are_cedar_and_values_are_told_or_refused(
    schema: dict[str, Any], given: dict[str, Any]
) -> None:
    checked = made(schema)
    if checked.problem:
        return
    kind = cedar_type(checked.shape, checked.shape.names)
    est = {
        "effect": "forbid",
        "principal": {"op": "All"},
        "action": {"op": "All"},
        "resource": {"op": "All"},
        "conditions": [],
    }
    assert violations_with(est, kind) == ()
    with contextlib.suppress(UnreadableError):
        written = cedar_arguments(given, checked.shape, Wanted(whole=True))
        assert written.keys() <= given.keys()
        assert "__extn" not in written
        json.dumps(written)


texts = st.one_of(
    st.text(),
    st.text(alphabet="/.%2eEfF~\\aA:@ ?#[]0x\uff11\uff0f\uff0e\u00e9\u200b"),
    st.builds("https://{}".format, st.text(alphabet="aA.:/@%2e?#[]01x\\")),
)


@settings(max_examples=300)
@given(st.sampled_from(FORMS), texts)
def test_a_form_gives_one_spelling_or_refuses(
    form: Callable[[str], str], text: str
) -> None:
    try:
        spelt = form(text)
    except AmbiguousError:
        return
    assert form(spelt) == spelt
    if form is canonical_path:
        steps = spelt.removeprefix("/").split("/")
        assert ".." not in steps
        assert spelt in {"/", "."} or not {"", "."} & set(steps)
        assert "\\" not in spelt


@given(st.integers())
def test_an_integer_is_told_exactly_or_refused(number: int) -> None:
    shape = made({"properties": {"n": {"type": "integer"}}}).shape
    try:
        written = cedar_arguments({"n": number}, shape, Wanted(whole=True))
    except UnreadableError:
        assert abs(number) > MAX_INTEGER
        return
    assert written == {"n": number}
    assert float(number) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_told_exactly_or_refused(number: float) -> None:
    shape = made({"properties": {"n": {"type": "number"}}}).shape
    with contextlib.suppress(UnreadableError):
        (written,) = cedar_arguments({"n": number}, shape, Wanted(whole=True)).values()
        assert float(written["__extn"]["arg"]) == number
