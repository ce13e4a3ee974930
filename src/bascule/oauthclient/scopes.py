"""Which scopes to ask for (MCP 2026-07-28, authorization: scope selection, step-up)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bascule.oauthclient.challenge import INSUFFICIENT_SCOPE, Challenge
from bascule.oauthclient.discovery import AuthorizationServer, ProtectedResource

OFFLINE = "offline_access"
MAX_STEP_UPS = 3
"""Times that one operation on one resource leads to another authorization."""
MAX_SCOPES = 100
"""Of one account, over all steps: a server that always wants more gets no more."""
MAX_CHARACTERS = 4096
"""Of all of them together."""


def select_scopes(
    challenge: Challenge | None,
    resource: ProtectedResource | None,
    server: AuthorizationServer,
    *,
    before: Iterable[str] = (),
    offline: bool = True,
) -> tuple[str, ...]:
    """Give the scopes of an authorization request; empty to leave the parameter out.

    What the challenge asks for, else all that the resource says it has; with what was asked
    for `before`, so that a step-up loses nothing. With `offline` a refresh token is asked
    for where the server knows how (`offline_access` among its scopes), and only there.
    """
    wanted = challenge.scopes if challenge is not None else ()
    if not wanted and resource is not None:
        wanted = resource.scopes_supported or ()
    found = dict.fromkeys((*before, *wanted))
    found.pop(OFFLINE, None)
    if offline and OFFLINE in (server.scopes_supported or ()):
        found[OFFLINE] = None
    return tuple(found)


def are_readable(scopes: Collection[str]) -> bool:
    """Tell whether a person can be asked to read them all before they agree."""
    return len(scopes) <= MAX_SCOPES and sum(map(len, scopes)) <= MAX_CHARACTERS


def missing_scopes(
    challenge: Challenge | None, held: Iterable[str]
) -> tuple[str, ...] | None:
    """Give what a refused call needs beyond what its token holds, for a step-up.

    None when the refusal is not about scopes (RFC 6750 §3.1). Empty when it is, and names
    nothing new: authorizing again would change nothing.
    """
    if challenge is None or challenge.error != INSUFFICIENT_SCOPE:
        return None
    known = frozenset(held)
    return tuple(scope for scope in challenge.scopes if scope not in known)
