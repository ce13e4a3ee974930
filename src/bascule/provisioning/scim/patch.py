"""PATCH (RFC 7644 §3.5.2), as providers really send it.

Entra writes `Add` for `add`, removes members by a value instead of a filter, and sends
objects whose names are paths; Okta repeats the `id`. All of it becomes one list of edits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bascule.provisioning.scim.body import Body, attribute, members, names_schema
from bascule.provisioning.scim.errors import ScimError, bad_path

MAX_OPERATIONS = 1000
SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_PATH = re.compile(
    r"(?P<name>[a-z][\w$-]*)(?:\[(?P<filter>.*)\])?(?P<sub>\.[a-z][\w$-]*)?", re.DOTALL
)
Op = Literal["add", "replace", "remove"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one attribute."""

    op: Op
    name: str
    """The attribute, in lower case; empty for one of an extension, which is not kept."""
    value: Any = None
    chosen: str | None = None
    """The filter in the path, which chooses some of several values."""
    within: bool = False
    """Whether it is a part of the attribute that changes."""


def edits(body: Body) -> list[Edit]:
    """Read a request, in the order of its operations. Raises `ScimError`."""
    schemas = body.get("schemas")
    if not isinstance(schemas, list) or SCHEMA not in schemas:
        raise ScimError(400, f"`schemas` must hold {SCHEMA}", "invalidSyntax")
    operations = body.get("operations")
    if not isinstance(operations, list) or not operations:
        raise ScimError(400, "`Operations` is missing", "invalidSyntax")
    if len(operations) > MAX_OPERATIONS:
        raise ScimError(413, f"more than {MAX_OPERATIONS} operations: send some at a time")
    return [edit for it in operations for edit in _edits(members(it))]


def _edits(operation: Body) -> Iterator[Edit]:
    op = str(operation.get("op")).lower()
    path, value = operation.get("path"), operation.get("value")
    match op:
        case "add" | "replace" | "remove":
            pass
        case _:
            raise ScimError(400, "`op` must be add, replace or remove", "invalidSyntax")
    if path is not None and path != "":
        yield _edit(op, path, value)
    elif op == "remove":
        raise ScimError(400, "what to remove needs a `path`", "noTarget")
    else:
        for name, part in members(value).items():
            yield _edit(op, name, part)


def _edit(op: Op, path: object, value: Any) -> Edit:
    if not isinstance(path, str):
        raise bad_path("`path` must be a text")
    plain = attribute(path)
    if names_schema(plain):
        raise bad_path("`path` must end in an attribute, after a `:`")
    if plain.startswith("urn:"):
        return Edit(op, "", value)
    match = _PATH.fullmatch(plain)
    if match is None:
        raise bad_path("`path` must be an attribute, such as `active`")
    chosen = None
    if match["filter"] is not None:  # as it was written: values in it have a case
        chosen = path[path.index("[") + 1 : path.rindex("]")]
    return Edit(op, match["name"], value, chosen, within=match["sub"] is not None)
