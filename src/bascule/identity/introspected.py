"""What an issuer says of a token that only it can read (RFC 7662 §2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bascule.clock import UnixTime
from bascule.config.model import Issuer
from bascule.errors import BasculeError
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.foreign_token import meaning

_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]{8,16384}=*")
"""`b64token` (RFC 6750 §2.1), of a length that a token has which cannot be guessed."""
_OWN = b"bsc_"
"""Secrets of ours begin so; nobody else is to see one."""
_TYPES = frozenset({"bearer", "dpop"})

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class UnreadableAnswerError(BasculeError):
    """The issuer's answer says nothing about the token, not even that it is none."""


def may_be_opaque(token: bytes) -> bool:
    """Tell whether a text may be a token of some issuer, so that it may be shown to one."""
    return _TOKEN.fullmatch(token) is not None and not token.startswith(_OWN)


def read_answer(body: bytes) -> Mapping[str, Any] | None:
    """Give what is said of an active token; None of any other.

    Raises `UnreadableAnswerError`, and nothing else, for any bytes.
    """
    try:
        claims = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise UnreadableAnswerError("the issuer's answer cannot be read") from exc
    active = claims.get("active")
    if not isinstance(active, bool):
        raise UnreadableAnswerError("the issuer's answer has no `active`")
    return claims if active else None


def introspected(
    claims: Mapping[str, Any],
    token: bytes,
    rules: Issuer,
    *,
    connector: str,
    now: UnixTime,
    leeway: int,
) -> AccessToken:
    """Give what an active token means at a connector.

    A refresh token can be active as well, so what does not say that it is an access token
    is refused. Without `exp` it is good as long as the answer is; without `iat` any
    revocation of its user or agent covers it. Raises `InvalidTokenError`.
    """
    if str(claims.get("token_type", "")).lower() not in _TYPES:
        raise InvalidTokenError("the issuer does not say that it is an access token")
    if claims.get("iss", rules.issuer) != rules.issuer:
        raise InvalidTokenError("issuer is another")
    assert rules.introspection is not None  # noqa: S101 - of such issuers alone
    times = {"iat": 0, "exp": now + rules.introspection.cache_seconds}
    return meaning(
        {**times, **claims}, token, rules, connector=connector, now=now, leeway=leeway
    )
