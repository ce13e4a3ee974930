"""What a token endpoint answers (RFC 6749 §5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bascule.clock import UnixTime
from bascule.oauthclient.errors import ServerUnavailableError

MAX_TOKEN_CHARACTERS = 16 << 10
MAX_LIFETIME = 10 * 365 * 24 * 3600
"""Seconds; a server may say more than any date can hold."""
TOKEN_TYPES = {"bearer": "Bearer", "dpop": "DPoP"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was issued. Only `repr=False` fields are secret."""

    access_token: str = field(repr=False)
    token_type: str
    """`Bearer` or `DPoP`: the scheme to show it with."""
    expires_at: UnixTime | None
    """None when the server does not say."""
    scope: tuple[str, ...]
    """What it is good for: as the server says, else as it was asked for (§3.3)."""
    refresh_token: str | None = field(repr=False, default=None)
    id_token: str | None = field(repr=False, default=None)
    """Not verified yet (OpenID Connect Core §3.1.3.7)."""

    def authorization(self) -> str:
        """Give the value of `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1)."""
        return f"{self.token_type} {self.access_token}"

    def is_due(self, now: UnixTime, *, ahead: int) -> bool:
        """Tell whether it ends within `ahead` seconds; never when nobody said when."""
        return self.expires_at is not None and self.expires_at - ahead <= now


class Answer(msgspec.Struct, frozen=True):
    """The members that are read of a good answer."""

    access_token: str
    token_type: str
    expires_in: Any = None
    scope: str | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    issued_token_type: str | None = None

    def expires_at(self, now: UnixTime) -> UnixTime | None:
        """Give when it ends; seconds may come as a text, as some servers write them."""
        try:
            seconds = int(self.expires_in)
        except (TypeError, ValueError, OverflowError):
            return None
        return UnixTime(now + min(seconds, MAX_LIFETIME)) if seconds >= 0 else None


_decode = msgspec.json.Decoder(Answer).decode


def read_answer(body: bytes) -> Answer:
    """Read a good answer of any bytes. Raises `ServerUnavailableError`, nothing else."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ServerUnavailableError("the token endpoint's answer holds no token") from exc
    shown = (answer.access_token, answer.refresh_token, answer.id_token)
    if not all(it is None or _is_sendable(it) for it in shown):
        raise ServerUnavailableError("the token endpoint's answer holds no usable token")
    return answer


def read_tokens(answer: Answer, *, asked: Iterable[str], now: UnixTime) -> Tokens:
    """Make tokens to show to a resource of an answer; `asked`: the scopes of the request.

    Raises `ServerUnavailableError` when the answer is of another type.
    """
    token_type = TOKEN_TYPES.get(answer.token_type.lower())
    if token_type is None:
        raise ServerUnavailableError("the token is neither of type Bearer nor DPoP")
    scope = tuple(asked) if answer.scope is None else tuple(answer.scope.split())
    return Tokens(
        access_token=answer.access_token,
        token_type=token_type,
        expires_at=answer.expires_at(now),
        scope=tuple(dict.fromkeys(scope)),
        refresh_token=answer.refresh_token,
        id_token=answer.id_token,
    )


def _is_sendable(token: str) -> bool:
    """Visible ASCII: it goes into a header, where a line end would begin another one."""
    bounded = 0 < len(token) <= MAX_TOKEN_CHARACTERS
    return bounded and token.isascii() and token.isprintable() and " " not in token
