"""What a list says of an item that may be used with some arguments only.

It stands in the item's `_meta`, under a key of ours: so a client knows that a refusal may
be for the arguments alone. What an upstream says under that key is taken out, for it cannot
know.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from bascule.decision.facts import Maybe
from bascule.protocol.message import encode

KEY = "bascule/access"
Mark = Literal["maybe", "unproved"]
"""Arguments are known with which it is allowed; or none, and none is known to be out."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_ESCAPE = b"\\u"


def mark_of(decision: Maybe) -> Mark:
    """Give the mark of an item that depends on arguments."""
    return "maybe" if decision.proved else "unproved"


def with_mark(item: Raw, mark: Mark) -> Raw:
    """Mark an item; all else of it stays. Raises `msgspec.DecodeError` for no object."""
    fields = _fields.decode(item)
    fields["_meta"] = Raw(encode({**_meta(fields), KEY: mark}))
    return Raw(encode(fields))


def without_mark(item: Raw) -> Raw:
    """Take out what an upstream put in the place of a mark; mostly that is nothing."""
    text = bytes(memoryview(item))
    if KEY.encode() not in text and _ESCAPE not in text and b"\\/" not in text:
        return item
    fields = _fields.decode(item)
    meta = _meta(fields)
    if KEY not in meta:
        return item
    del meta[KEY]
    fields["_meta"] = Raw(encode(meta))
    return Raw(encode(fields))


def _meta(fields: dict[str, Raw]) -> dict[str, Any]:
    meta = fields.get("_meta")
    if meta is None or not bytes(memoryview(meta)).lstrip().startswith(b"{"):
        return {}
    return dict(_fields.decode(meta))
