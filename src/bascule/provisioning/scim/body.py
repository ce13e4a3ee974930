"""Bodies: JSON whose names have no case, and which must not say two things at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bascule.provisioning.scim.errors import ScimError, bad_value

MAX_CHARACTERS = 255
CORE = "urn:ietf:params:scim:schemas:core:2.0:"
"""How the URN of a schema of the standard begins (RFC 7643 §8.7)."""

Body = Mapping[str, Any]
"""An object; its names in lower case, without the URN of the schema that they are of."""


def parse(body: bytes) -> Body:
    """Read an object. Raises `ScimError`."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError) as exc:
        raise ScimError(400, "the body is no JSON", "invalidSyntax") from exc
    return members(found)


def members(value: object) -> Body:
    """Give an object by lower-case names (RFC 7643 §2.1). Raises `ScimError`."""
    if not isinstance(value, dict):
        raise ScimError(400, "a JSON object is missing", "invalidSyntax")
    found: dict[str, Any] = {}
    for name, member in value.items():
        plain = attribute(name)
        if names_schema(plain):  # what is in it would be lost without a word
            raise ScimError(400, "a core schema is no attribute", "invalidSyntax")
        if plain in found:
            raise ScimError(400, "an attribute stands there twice", "invalidSyntax")
        found[plain] = member
    return found


def attribute(name: str) -> str:
    """Give an attribute's name without case and without the URN of a core schema."""
    low = name.lower()
    if low.startswith(CORE.lower()):
        _, colon, attribute = low[len(CORE) :].partition(":")
        return attribute if colon else low
    return low


def names_schema(plain: str) -> bool:
    """Tell whether a name, as `attribute` gives it, is a core schema's instead."""
    return plain.startswith(CORE.lower())


def text(value: object, name: str) -> str:
    """Read a text that names somebody or something. Raises `ScimError`."""
    if not isinstance(value, str) or not value.strip():
        raise bad_value(f"`{name}` must be a text that is not empty")
    if len(value) > MAX_CHARACTERS or not value.isprintable():
        raise bad_value(
            f"`{name}` must have {MAX_CHARACTERS} characters at most, and none that "
            "cannot be printed"
        )
    return value


def optional_text(value: object, name: str) -> str:
    """Read a text that may be missing."""
    return "" if value is None or value == "" else text(value, name)


def truth(value: object, name: str) -> bool:
    """Read a boolean; Entra sends texts. Raises `ScimError`."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise bad_value(f"`{name}` must be true or false")
    return value
