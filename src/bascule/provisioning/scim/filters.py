"""Filters (RFC 7644 §3.4.2.2): comparisons for equality, joined by `and`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bascule.provisioning.scim.body import attribute
from bascule.provisioning.scim.errors import ScimError

MAX_CHARACTERS = 2000
_COMPARISON = re.compile(
    r"""\s*(?P<name>[a-zA-Z][\w:.$-]*)\s+(?i:eq)\s+
        (?P<value>"(?:[^"\\]|\\.)*"|(?i:true|false))\s*(?P<more>(?i:and)\s|\Z)""",
    re.VERBOSE,
)


def comparisons(text: str) -> Mapping[str, str | bool]:
    """Read a filter: what each attribute, in lower case, must be equal to.

    Raises `ScimError` for all else: who asks for what is not understood gets no other
    resources instead.
    """
    if len(text) > MAX_CHARACTERS:
        raise _unknown()
    found: dict[str, str | bool] = {}
    place, more = 0, True
    while more:
        match = _COMPARISON.match(text, place)
        if match is None:
            raise _unknown()
        name = attribute(match["name"])
        if name in found:
            raise _unknown()
        found[name] = _value(match["value"])
        place, more = match.end(), bool(match["more"])
    return found


def _value(text: str) -> str | bool:
    if not text.startswith('"'):
        return text.lower() == "true"
    try:
        value = msgspec.json.decode(text, type=str)
    except ValueError as exc:
        raise _unknown() from exc
    if not value.isprintable():  # no name here is such, and PostgreSQL keeps no U+0000
        raise _unknown()
    return value


def _unknown() -> ScimError:
    return ScimError(
        400,
        'only filters such as `userName eq "alice"` are taken, joined by `and`',
        "invalidFilter",
    )
