"""Actors: who else stands between a token's user and the call (RFC 8693 §4.1).

A chain can but narrow: each hop is one more agent whose ceiling must permit the call. So
nothing is gained by a claim that names somebody with more rights, and a chain that cannot
be read, or is too long, makes the token invalid rather than the chain empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import BasculeError

MAX_ACTORS = 5
"""Each hop costs one more question of every decision."""
MAX_NAME_CHARACTERS = 255


class BadActorsError(BasculeError):
    """A chain that cannot be read, or has too many hops; nothing of it is repeated."""


def actors_of(claims: Mapping[str, Any], issuer: str) -> tuple[str, ...]:
    """Give the agents of a token's chain, the one that acts now first: `ISSUER|CLIENT_ID`.

    `issuer`: of the token, and of each actor that names no other. An actor is called by its
    `client_id` where there is one, else by its `sub`. Raises `BadActorsError`, and nothing
    else, for any claims.
    """
    found: list[str] = []
    holder = claims
    while "act" in holder:
        if len(found) == MAX_ACTORS:
            raise BadActorsError(f"more than {MAX_ACTORS} actors")
        actor = holder["act"]
        if not isinstance(actor, dict):
            raise BadActorsError("an actor cannot be read")
        found.append(_agent(actor, issuer))
        holder = actor
    return tuple(found)


def _agent(actor: Mapping[str, Any], issuer: str) -> str:
    of = actor.get("iss", issuer)
    name = actor.get("client_id", actor.get("sub"))
    if not _is_name(of) or not _is_name(name) or "|" in of:
        raise BadActorsError("an actor has no usable name")
    return f"{of}|{name}"


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not value.isprintable():
        return False
    return 0 < len(value) <= MAX_NAME_CHARACTERS
