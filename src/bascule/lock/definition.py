"""One definition of a tool, prompt or resource template, and the digest that pins it.

A definition is hashed whole, fields that nobody knows included: models and clients read
all of it. What two parsers could read differently, or what has no canonical form, has no
digest, and what has no digest cannot be approved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NoReturn

import msgspec
import rfc8785
from msgspec import Struct

from bascule.lock.model import LockError
from bascule.protocol.message import deeper_than

Kind = Literal["tools", "prompts", "resourceTemplates"]
"""Of definition, by the key that the list has in a result."""

NAME_KEY: dict[Kind, str] = {
    "tools": "name",
    "prompts": "name",
    "resourceTemplates": "uriTemplate",
}
"""What a definition is called by."""

MAX_DEFINITION_BYTES = 256 << 10
MAX_DEPTH = 64
"""Nested objects and arrays of one definition."""
MAX_NAME_CHARACTERS = {"tools": 256, "prompts": 256, "resourceTemplates": 2048}
MAX_DEFINITIONS = 2000
"""Of one kind; a list that is longer is refused whole."""


class SurfaceError(LockError):
    """What a server serves cannot be pinned, or cannot be read."""


class UnpinnableError(SurfaceError):
    """One definition has no digest; the others are not concerned."""


def parse_definition(raw: bytes) -> dict[str, Any]:
    """Read one definition strictly (RFC 8259, I-JSON of RFC 7493).

    Raises `UnpinnableError`, and nothing else, for any bytes: doubled keys at any depth,
    numbers that a double does not hold as written, what is too large or too deep.
    """
    return _definition(raw)[0]


def definition_digest(raw: bytes) -> str:
    """Give the digest of one definition. Raises `UnpinnableError`."""
    value, fractions = _definition(raw)
    plain = None if fractions else _without_fractions(value)
    return canonical_digest(value) if plain is None else hashlib.sha256(plain).hexdigest()


def canonical_digest(value: Any) -> str:
    """Hash a parsed JSON value in its canonical form (RFC 8785).

    Raises `UnpinnableError` for integers beyond 2**53 and for lone surrogates.
    """
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    except rfc8785.IntegerDomainError as exc:
        raise UnpinnableError(_TOO_LARGE) from exc
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as exc:
        raise UnpinnableError(_SURROGATE) from exc


def strict_json(raw: bytes) -> Any:
    """Read JSON that every parser reads the same way. Raises `UnpinnableError`."""
    return _strict(raw)[0]


def _definition(raw: bytes) -> tuple[dict[str, Any], bool]:
    if len(raw) > MAX_DEFINITION_BYTES:
        raise UnpinnableError(f"is larger than {MAX_DEFINITION_BYTES} bytes")
    value, fractions = _strict(raw)
    if not isinstance(value, dict):
        raise UnpinnableError("is no JSON object")
    if deeper_than(value, MAX_DEPTH, size_hint=raw):
        raise UnpinnableError(_TOO_DEEP)
    return value, fractions


def _strict(raw: bytes) -> tuple[Any, bool]:
    """Read JSON; also tells whether it has a number that is not written as an integer."""
    fractions: list[float] = []

    def fraction(text: str) -> float:
        fractions.append(_fraction(text))
        return fractions[-1]

    decoder = json.JSONDecoder(
        object_pairs_hook=_object,
        parse_float=fraction,
        parse_int=_integer,
        parse_constant=_constant,
    )
    try:
        return decoder.decode(str(raw, "utf-8")), bool(fractions)
    except UnicodeDecodeError as exc:
        raise UnpinnableError("is not UTF-8") from exc
    except RecursionError as exc:
        raise UnpinnableError(_TOO_DEEP) from exc
    except ValueError as exc:
        raise UnpinnableError("is not valid JSON") from exc


def _without_fractions(value: Any) -> bytes | None:
    """Write the canonical form of what has integers alone, ten times as fast.

    The two sort the same way unless there are characters beyond the first 65,536, which
    RFC 8785 sorts by their halves; then gives None.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        halves = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError as exc:
        raise UnpinnableError(_SURROGATE) from exc
    return text.encode() if halves == len(text) else None


def name_of(definition: dict[str, Any], kind: Kind) -> str:
    """Give what a definition is called by. Raises `UnpinnableError`."""
    name = definition.get(NAME_KEY[kind])
    if not isinstance(name, str) or not name:
        raise UnpinnableError(f"has no `{NAME_KEY[kind]}`")
    if len(name) > MAX_NAME_CHARACTERS[kind]:
        raise UnpinnableError(
            f"has a `{NAME_KEY[kind]}` of more than {MAX_NAME_CHARACTERS[kind]} characters"
        )
    return name


def listed_name(raw: bytes, kind: Kind) -> str:
    """Give the name of an entry of a list as whoever passes it on reads it.

    Of a doubled key the last counts. Raises `SurfaceError` without a name: such an entry
    could not be left out.
    """
    try:
        return _names[kind].decode(raw).name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise SurfaceError(f"`{kind}` has an entry without a name") from exc


class _Named(Struct, gc=False):
    name: str


class _Templated(Struct, gc=False):
    name: str = msgspec.field(name="uriTemplate")


_names: dict[Kind, msgspec.json.Decoder[_Named] | msgspec.json.Decoder[_Templated]] = {
    "tools": msgspec.json.Decoder(_Named),
    "prompts": msgspec.json.Decoder(_Named),
    "resourceTemplates": msgspec.json.Decoder(_Templated),
}

_SAFE = 2**53
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH}"
_TOO_LARGE = "has an integer beyond 2**53"
_SURROGATE = "has a character that is no Unicode (a surrogate)"


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers keep the first, the last or both: the reviewer and the model would differ.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnpinnableError("has a key twice in one object")
    return found


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= _SAFE:
        raise UnpinnableError(_TOO_LARGE)
    return number


def _fraction(text: str) -> float:
    number = float(text)
    # Two texts that a double cannot tell apart would have one digest.
    try:
        exact = Decimal(text) == Decimal(repr(number))
    except ArithmeticError:
        exact = False
    if not exact:
        raise UnpinnableError("has a number that no double holds as it is written")
    return number


def _constant(text: str) -> NoReturn:
    raise UnpinnableError(f"has `{text}`, which is no JSON")
