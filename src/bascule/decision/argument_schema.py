"""Arguments held against a tool's approved JSON Schema, within bounds.

A schema comes from a server and arguments come from anybody, so both may be made to cost
much. No reference leaves the document; patterns are counted and their texts are short; and
before a validator sees a value, what it may have to visit is added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from bascule.decision.argument_shapes import Shape, Shapes
from bascule.decision.schema_document import UnusableSchemaError

MAX_SCHEMA_BYTES = 256 << 10
MAX_DEPTH = 64
"""Nesting of arguments."""
MAX_WORK = 100_000
"""Subschemas that may be visited for one call; about 20 milliseconds."""
MAX_PATTERNED = 2048
"""Characters of one text, or one name, that is compared with a pattern."""
MAX_PATTERNED_TOTAL = 16_384
"""Characters that patterns may look at in one call, counted for each pattern."""
MAX_SCHEMAS = 12_000
"""Schemas that are kept ready; each takes about 12 KiB."""
_MAX_DETAIL = 300
_PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=1000, size_limit=256 << 10, dfa_size_limit=1 << 20
)


class _ComplaintError(Exception):
    """What is wrong with arguments; names, never values."""


class ArgumentSchema:
    """A tool's input schema, ready for its calls."""

    def __init__(self, text: bytes) -> None:
        """`text`: the schema as JSON. One that cannot be used has a `problem`."""
        self.problem = ""
        """Why no arguments can be compared with it, as the end of a sentence."""
        self.shape = Shapes(True).root
        """Says nothing where there is a problem."""
        try:
            self._validator, self.shape = _read(text)
        except UnusableSchemaError as exc:
            self.problem = str(exc)

    def complaint(
        self, arguments: Mapping[str, Any], *, allow_unknown: bool = False
    ) -> str | None:
        """Say what is wrong with arguments, for whoever sent them; None when nothing is.

        It names arguments and never holds their values.
        """
        if self.problem:
            return f"the tool's input schema cannot be used: {self.problem}"
        try:
            # As it mostly is: a few texts and numbers, all known.
            if not (self.shape.is_flat and arguments.keys() <= self.shape.names):
                _Walk(allow_unknown=allow_unknown).members(arguments, self.shape, 1, ())
        except _ComplaintError as exc:
            return str(exc)
        except UnusableSchemaError as exc:
            return f"the tool's input schema cannot be used: {exc}"
        try:
            self._validator.validate(arguments)
        except jsonschema_rs.ValidationError as exc:
            return _clipped(f"{_place(exc.instance_path)}{exc.message}")
        except ValueError as exc:
            return _clipped(f"the arguments cannot be checked: {exc}")
        return None


@lru_cache(MAX_SCHEMAS)
def schema_of(text: bytes) -> ArgumentSchema:
    """Give a schema that is ready; a tool's stays so across reloads."""
    return ArgumentSchema(text)


def _read(text: bytes) -> tuple[jsonschema_rs.Validator, Shape]:
    if len(text) > MAX_SCHEMA_BYTES:
        raise UnusableSchemaError(f"it is larger than {MAX_SCHEMA_BYTES} bytes")
    try:
        schema = msgspec.json.decode(text)
        if not isinstance(schema, dict):
            raise UnusableSchemaError("it is no object")
        shape = Shapes(schema).explore()
        validator = jsonschema_rs.validator_for(
            schema,
            mask="the value",
            offline=True,
            pattern_options=_PATTERNS,
            validate_formats=False,
        )
    except jsonschema_rs.ValidationError as exc:
        said = f"{_place(exc.instance_path)}{exc.message}"
        raise UnusableSchemaError(_clipped(said)) from exc
    except (ValueError, TypeError, RecursionError) as exc:
        said = str(exc).partition("\n")[0]
        raise UnusableSchemaError(_clipped(said) or "it is no JSON Schema") from exc
    return validator, shape


class _Walk:
    """Looks for names that a schema does not have, and adds up what checking will cost."""

    def __init__(self, *, allow_unknown: bool) -> None:
        self._allow_unknown = allow_unknown
        self._work = MAX_WORK
        self._patterned = MAX_PATTERNED_TOTAL

    def members(
        self, value: Mapping[str, Any], shape: Shape, times: int, place: tuple[str, ...]
    ) -> None:
        """Go through one object; `times`: how often a validator may visit it."""
        self._spend(times * (shape.weight + len(value) * shape.name_weight))
        if shape.name_weight:
            for name in value:
                self._spend_pattern(name, times * shape.name_weight, place)
        closed = not self._allow_unknown and not shape.is_open
        for name, inner in value.items():
            if closed and name not in shape.names and (shape.names or not place):
                where = _place(place)
                raise _ComplaintError(
                    _clipped(f"{where}`{_short(name)}` is not an argument of this tool")
                )
            part, more = shape.member(name)
            self._part(inner, part, times * more, (*place, name))

    def _part(
        self, value: object, shape: Shape, times: int, place: tuple[str, ...]
    ) -> None:
        if len(place) > MAX_DEPTH:
            raise _ComplaintError("the arguments are nested too deeply")
        if isinstance(value, dict) and not shape.is_leaf:
            self.members(value, shape, times, place)
            return
        self._spend(times * shape.weight)
        if isinstance(value, str) and shape.patterns:
            self._spend_pattern(value, times * shape.patterns, place)
        elif isinstance(value, list) and not shape.is_leaf:
            part, more = shape.item
            if part.is_leaf and not part.patterns:
                self._spend(len(value) * times * more * part.weight)
                return
            for n, inner in enumerate(value):
                self._part(inner, part, times * more, (*place, str(n)))

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise _ComplaintError("the arguments have more parts than can be checked")

    def _spend_pattern(self, text: str, times: int, place: tuple[str, ...]) -> None:
        self._patterned -= len(text) * times
        if len(text) > MAX_PATTERNED or self._patterned < 0:
            raise _ComplaintError(
                f"{_place(place)}is longer than what a pattern is compared with"
            )


def _place(path: tuple[str, ...] | list[str | int]) -> str:
    """Name a part of the arguments, as the beginning of a sentence."""
    return f"`{_short('.'.join(map(str, path)))}`: " if path else ""


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:100]}…"


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL else f"{text[:_MAX_DETAIL]}…"
