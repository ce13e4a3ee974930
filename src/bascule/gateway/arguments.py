"""What the record says of a call's arguments: names and a commitment."""

from __future__ import annotations

import msgspec

from bascule.audit.commitments import KEY_BYTES, commit
from bascule.audit.record import ArgsPart
from bascule.clock import system_entropy
from bascule.protocol.message import Request

_NO_ARGUMENTS: tuple[None, None] = (None, None)


class Opening(msgspec.Struct, omit_defaults=True):
    """What opens a commitment; lives encrypted apart from the log."""

    key: bytes
    """The record key of `bascule.audit.commitments`."""
    values: msgspec.Raw = msgspec.Raw(b"")
    """The arguments themselves, where the connector keeps them."""


def commit_arguments(
    request: Request, *, keep_values: bool
) -> tuple[ArgsPart, bytes] | tuple[None, None]:
    """Give the record's part and its opening; nothing for a request without arguments."""
    arguments = request.params.get("arguments")
    if not isinstance(arguments, dict) or not arguments:
        return _NO_ARGUMENTS
    key = system_entropy(KEY_BYTES)
    part = commit(key, arguments)
    if not keep_values:
        return part, msgspec.json.encode(Opening(key))
    values = msgspec.Raw(msgspec.json.encode(arguments))
    return part, msgspec.json.encode(Opening(key, values))
