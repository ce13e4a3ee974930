"""Revocations: everything issued until a moment, for whom or what they name.

The moment is an issue number, not a second: tokens issued in the same second as the
revocation, before and after it, are told apart. A foreign token has no issue number; it is
revoked when it was issued in that second or earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken

LONGEST_LIFE_SECONDS = 25 * 3600
"""Nothing lives longer that was issued before a revocation, or begun with what was: access
tokens, sessions of MCP. What renews itself (a grant) is ended in its own row besides."""

Kind = Literal["all", "user", "agent", "connector", "jti", "grant"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry."""

    kind: Kind
    key: str
    """What it names; empty for `all`."""
    up_to: int
    """Highest issue number that is revoked."""
    revoked_at: UnixTime

    def covers(self, token: AccessToken) -> bool:
        """Tell whether a token that it names was issued before it."""
        if token.issue_number is None:
            return token.issued_at <= self.revoked_at
        return token.issue_number <= self.up_to


class Revocations:
    """All entries in force, one for each kind and key; immutable."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Revocation]) -> None:
        self._entries: Mapping[tuple[str, str], Revocation] = {
            (entry.kind, entry.key): entry for entry in entries
        }

    def covers(self, token: AccessToken, connector: str) -> bool:
        """Tell whether a token for that connector is revoked."""
        found = (self._entries.get(key) for key in _keys(token, connector))
        return any(entry is not None and entry.covers(token) for entry in found)


def _keys(token: AccessToken, connector: str) -> Iterator[tuple[Kind, str]]:
    yield "all", ""
    yield "agent", token.agent
    for actor in token.actors:
        yield "agent", actor
    yield "connector", connector
    yield "jti", token.jti
    if token.user is not None:
        yield "user", token.user
    if token.grant is not None:
        yield "grant", token.grant
