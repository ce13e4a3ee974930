"""Authorization details of a token: the tool calls that it is for (RFC 9396).

    [{"type": "mcp_tool_call", "locations": ["https://…/c/tickets/mcp"],
      "actions": ["tools/call"], "tools": ["search", "get_*"],
      "constraints": {"project": "bridge"}}]

A token that has them is for these calls and nothing else. `tools` are names as the server
has them, with `*` for any run of characters; each argument in `constraints` must be given
and equal. `locations` and `actions` may be left out; what else an element says is refused
rather than overlooked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
from msgspec import UNSET, Meta, Struct, UnsetType

from bascule.errors import BasculeError

TYPE = "mcp_tool_call"
MAX_BYTES = 4096
"""Of all details, as they are asked for and as a token has them: that has to fit into a
header, and into what is read of one."""
MAX_ELEMENTS = 16
ACTION = "tools/call"


class InvalidDetailsError(BasculeError):
    """Details that nothing can be granted by; the text names parameters, never values."""


class ToolCalls(Struct, frozen=True):
    """Calls of some tools, one element of a token's details."""

    tools: tuple[str, ...]
    """Names, with `*` for any run of characters."""
    constraints: tuple[tuple[str, str], ...] = ()
    """Arguments that must be given, and their values as JSON in canonical form (RFC 8785);
    by name."""


Details = tuple[ToolCalls, ...]
"""A call must be one of these; of none of them, no call is."""

_Tool = Annotated[str, Meta(min_length=1, max_length=255)]


class _Element(Struct, forbid_unknown_fields=True):
    type: Literal["mcp_tool_call"]
    tools: Annotated[list[_Tool], Meta(min_length=1, max_length=64)]
    locations: list[str] | UnsetType = UNSET
    actions: list[Literal["tools/call"]] | UnsetType = UNSET
    constraints: dict[str, Any] | UnsetType = UNSET


def parse(text: str, location: str) -> Details:
    """Read what a client asks for at one location.

    Raises `InvalidDetailsError`, and nothing else, for any text.
    """
    if len(text) > MAX_BYTES:
        raise InvalidDetailsError("`authorization_details` is too long")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise InvalidDetailsError("`authorization_details` is no JSON") from exc
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ELEMENTS:
        raise InvalidDetailsError(
            f"`authorization_details` is an array of 1 to {MAX_ELEMENTS} elements"
        )
    found = [_read(element, location) for element in value]
    if None in found:
        raise InvalidDetailsError("`locations` must name the resource")
    details = tuple(it for it in found if it is not None)
    if len(msgspec.json.encode(document(details, location))) > MAX_BYTES:
        raise InvalidDetailsError("`authorization_details` is too long")
    return details


def of_claim(value: object, location: str) -> Details:
    """Read the claim of somebody else's token.

    Elements of other types, or for other locations, give nothing here. Raises
    `InvalidDetailsError` where one of ours cannot be read.
    """
    if not isinstance(value, list):
        raise InvalidDetailsError("`authorization_details` is no array")
    ours = [it for it in value if isinstance(it, dict) and it.get("type") == TYPE]
    if len(ours) > MAX_ELEMENTS:
        raise InvalidDetailsError("`authorization_details` has too many elements")
    found = [_read(element, location) for element in ours]
    return tuple(it for it in found if it is not None)


def document(details: Details, location: str) -> list[dict[str, Any]]:
    """Write details as they stand in tokens and answers; `parse` reads the same again."""
    return [
        {
            "type": TYPE,
            "locations": [location],
            "actions": [ACTION],
            "tools": list(one.tools),
            **_constraints(one),
        }
        for one in details
    ]


def canonical(value: object) -> str | None:
    """Write a JSON value so that equal ones are equal texts; None for one that has none."""
    try:
        return rfc8785.dumps(value).decode()  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError):
        return None


def _constraints(one: ToolCalls) -> dict[str, Any]:
    if not one.constraints:
        return {}
    return {
        "constraints": {name: msgspec.json.decode(text) for name, text in one.constraints}
    }


def _read(element: object, location: str) -> ToolCalls | None:
    """Read an element; None for one of another location."""
    if isinstance(element, Mapping) and element.get("type") != TYPE:
        raise InvalidDetailsError(f"`type` of authorization details must be {TYPE}")
    try:
        read = msgspec.convert(element, _Element)
    except msgspec.ValidationError as exc:
        raise InvalidDetailsError(f"`authorization_details`: {_place(exc)}") from exc
    if read.locations is not UNSET and location not in read.locations:
        return None
    if read.actions == []:
        raise InvalidDetailsError(f"`actions` must name {ACTION}")
    constraints = {} if read.constraints is UNSET else read.constraints
    return ToolCalls(tuple(dict.fromkeys(read.tools)), _written(constraints))


def _written(constraints: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in sorted(constraints.items()):
        text = canonical(value)
        if text is None:
            raise InvalidDetailsError("`constraints` hold a value that nothing equals")
        found.append((name, text))
    return tuple(found)


def _place(problem: msgspec.ValidationError) -> str:
    """Say where an element is wrong, without what stands there."""
    _, _, path = str(problem).partition(" - at `$")
    return f"`{path.strip('`.')}` is not valid" if path else "an element is not valid"


def within(asked: Sequence[ToolCalls], given: Details) -> bool:
    """Tell whether each element that is asked for stands in what was given."""
    return set(asked) <= set(given)
