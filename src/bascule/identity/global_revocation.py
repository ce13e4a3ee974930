"""Orders to end all that somebody has (Global Token Revocation, an Internet-Draft)."""

from __future__ import annotations

from typing import Any

import msgspec

from bascule.identity.notice import InvalidNoticeError, Notice
from bascule.identity.subject_identifier import Subject, subjects_of

TYPES = frozenset({"global-token-revocation+jwt"})
"""`typ` of the JWT that authenticates the caller: no other token of the provider does."""
MAX_AGE_SECONDS = 600

PATH = "/global-token-revocation"
"""Below `server.public_url`; each provider has its own address there."""

_order = msgspec.json.Decoder(dict[str, Any])


def ordered(body: bytes, caller: Notice) -> tuple[Subject, ...]:
    """Read whom an order names; it must be a user of the caller's own issuer.

    Raises `InvalidNoticeError`.
    """
    try:
        order = _order.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidNoticeError("the body is no JSON object") from exc
    found = subjects_of(order.get("sub_id"), caller)
    if all(it.kind == "session" for it in found):
        raise InvalidNoticeError("it names a session, and no user")
    return found
