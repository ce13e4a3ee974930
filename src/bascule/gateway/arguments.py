"""What the record says of a call's arguments: names and a commitment."""

from __future__ import annotations

from bascule.audit.commitments import KEY_BYTES, commit
from bascule.audit.record import ArgsPart
from bascule.clock import pooled_entropy
from bascule.protocol.message import Request, encode

_NO_ARGUMENTS: tuple[None, None] = (None, None)


def commit_arguments(
    request: Request, *, keep_values: bool
) -> tuple[ArgsPart, bytes] | tuple[None, None]:
    """Give the record's part and its opening; nothing for a request without arguments.

    An opening is the record key, and behind it the arguments where they are kept.
    """
    arguments = request.params.get("arguments")
    if not isinstance(arguments, dict) or not arguments:
        return _NO_ARGUMENTS
    key = pooled_entropy(KEY_BYTES)
    part = commit(key, arguments)
    return part, key + encode(arguments) if keep_values else key
