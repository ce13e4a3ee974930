"""What the record says of a call's arguments: names and a commitment."""

from __future__ import annotations

from bascule.audit.commitments import KEY_BYTES, commit
from bascule.audit.record import ArgsPart
from bascule.clock import pooled_entropy
from bascule.decision.facts import Allowed, Settled
from bascule.protocol.message import Request, encode

_APPROVED = frozenset({"name", "arguments", "_meta", "inputResponses", "requestState"})
"""Parameters of an approved call; its approver has seen, or the server asked for, the rest
of what it may hold."""
_NO_ARGUMENTS: tuple[None, None] = (None, None)


def as_decided(request: Request, decision: Settled) -> Request:
    """Put what was decided on in the place of what came.

    Of an approved call nothing goes on that its approval does not speak of.
    """
    if not isinstance(decision, Allowed) or decision.arguments is None:
        return request
    params = {**request.params, "arguments": decision.arguments}
    if decision.obligations:
        params = {key: params[key] for key in params if key in _APPROVED}
    return Request(request.id, request.method, params)


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
