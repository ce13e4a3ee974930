"""Revocations: everything issued until a moment, for whom or what they name.

The moment is an issue number, not a second: tokens issued in the same second as the
revocation, before and after it, are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.identity.access_token import AccessToken

Kind = Literal["all", "user", "agent", "connector", "jti", "grant"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry."""

    kind: Kind
    key: str
    """What it names; empty for `all`."""
    up_to: int
    """Highest issue number that is revoked."""


class Revocations:
    """All entries in force; immutable."""

    __slots__ = ("_up_to",)

    def __init__(self, entries: Iterable[Revocation]) -> None:
        found: dict[tuple[str, str], int] = {}
        for entry in entries:
            key = entry.kind, entry.key
            found[key] = max(found.get(key, 0), entry.up_to)
        self._up_to: Mapping[tuple[str, str], int] = found

    def covers(self, token: AccessToken, connector: str) -> bool:
        """Tell whether a token for that connector is revoked."""
        number = token.issue_number
        keys = [("all", ""), ("agent", token.agent), ("connector", connector)]
        keys += [("jti", token.jti)]
        if token.user is not None:
            keys.append(("user", token.user))
        if token.grant is not None:
            keys.append(("grant", token.grant))
        return any(self._up_to.get(key, -1) >= number for key in keys)
