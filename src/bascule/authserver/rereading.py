"""Asking a user's identity provider again, before the user's clients get new tokens.

What only the provider knows, that an account is closed or a group was left, so counts here
with the next refresh. Whoever cannot be asked about is refused after a while; while the
provider does not answer, nobody of its users is refreshed, and nothing of theirs is spent.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from bascule.authserver.errors import InvalidGrantError, UnavailableError
from bascule.authserver.kept_logins import keep_renewed, kept_of
from bascule.authserver.provider_exchange import Kept, SignedIn
from bascule.authserver.provider_problems import PROBLEMS
from bascule.authserver.provisioned import as_provisioned, vouch
from bascule.authserver.server import AuthorizationServer
from bascule.identity.provider_claims import NotAdmittedError, require_admission
from bascule.oauthclient.errors import GrantRefusedError
from bascule.oauthclient.openid import NoSuchProviderError
from bascule.storage import federated_users, revocations, users
from bascule.storage.federated_users import Vouched
from bascule.storage.store import Transaction

log = logging.getLogger("bascule")

FRESH_SECONDS = 30
"""What a provider said this short a time ago still counts."""
STALE_SECONDS = 12 * 3600
"""Where a provider gave nothing to ask it with: how long its word counts."""
TURN_SECONDS = 30
"""For how long one process has the turn to ask about a user; longer than asking takes."""
PAUSE_SECONDS = 0.2
ATTEMPTS = 40
"""Looks at whether another process has asked meanwhile."""
_ENDED = frozenset({"invalid_grant", "invalid_token", "bad_refresh_token"})
"""Refusals that are about the user, not about Bascule as a client."""


def is_asked_about(user: str) -> bool:
    """Tell whether a provider vouches for a user: `user:ISSUER|SUB`."""
    return "|" in user


async def reread(server: AuthorizationServer, user: str | None) -> None:
    """Ask anew about a user, if a provider vouches for it: `user:ISSUER|SUB`.

    Once for all who wait for it, in all processes. Raises `InvalidGrantError` when the
    provider says no, after which nothing of that user's counts any more, and
    `UnavailableError` when it says nothing.
    """
    if user is None or not is_asked_about(user):
        return
    name = user.removeprefix("user:")
    task = server.asking.get(name)
    if task is None:
        task = asyncio.get_running_loop().create_task(_reread(server, name))
        server.asking[name] = task
        task.add_done_callback(partial(_asked, server, name))
    await asyncio.shield(task)


def _asked(server: AuthorizationServer, name: str, task: asyncio.Task[None]) -> None:
    server.asking.pop(name, None)
    if not task.cancelled():
        task.exception()  # all who wanted to know it may have gone away


async def _reread(server: AuthorizationServer, name: str) -> None:
    """Ask, unless somebody does, or did just now."""
    for _ in range(ATTEMPTS):
        if await _due(server, name) is None:
            return
        turn = partial(
            federated_users.take_turn,
            name=name,
            now=server.clock(),
            seconds=TURN_SECONDS,
        )
        if await server.store.transact(turn):
            await _in_turn(server, name)
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise UnavailableError("the identity provider is being asked: try again")


async def _due(server: AuthorizationServer, name: str) -> tuple[Vouched, Kept] | None:
    """Read whom to ask about and with what; None when nobody need be asked.

    Raises `InvalidGrantError` for who cannot be asked about and was not for long.
    """
    vouched = await server.store.look(partial(federated_users.get, name=name))
    if vouched is None or vouched.checked_at + FRESH_SECONDS > server.clock():
        return None
    kept = await server.store.look(
        partial(kept_of, server.vault, user=name, provider=vouched.who.provider)
    )
    if kept is None or not kept.can_ask:
        _require_recent(server, vouched)
        return None
    return vouched, kept


async def _in_turn(server: AuthorizationServer, name: str) -> None:
    """Ask with what is there now: whoever had the turn before may have got another."""
    due = await _due(server, name)
    if due is None:
        await server.store.transact(partial(federated_users.end_turn, name=name))
    else:
        await _ask(server, *due)


def _require_recent(server: AuthorizationServer, vouched: Vouched) -> None:
    if vouched.who.provider not in server.config().providers:
        raise InvalidGrantError("the identity provider is none any more")
    if vouched.checked_at + STALE_SECONDS <= server.clock():
        raise InvalidGrantError("the identity provider cannot be asked: sign in again")


async def _ask(server: AuthorizationServer, vouched: Vouched, kept: Kept) -> None:
    name = vouched.who.name
    try:
        asked = await server.exchange.ask_again(vouched.who, kept)
        person = await as_provisioned(server, asked.who, asked.person)
        found = replace(asked, person=person)
        provider = server.exchange.providers.provider(vouched.who.provider)
        await _take(server, found, kept)
        require_admission(found.person, provider)
    except PROBLEMS as exc:
        log.warning("asking about `%s` failed: %s", ascii(name), exc)
        await server.store.transact(partial(federated_users.end_turn, name=name))
        if _is_about_user(exc):
            await _end(server, name, str(exc))
            raise InvalidGrantError("the identity provider refuses the user") from exc
        if isinstance(exc, NoSuchProviderError):
            raise InvalidGrantError("the identity provider is none any more") from exc
        raise UnavailableError("the identity provider does not answer") from exc


def _is_about_user(problem: Exception) -> bool:
    if isinstance(problem, GrantRefusedError):
        return problem.error in _ENDED
    return isinstance(problem, NotAdmittedError)


async def _take(server: AuthorizationServer, found: SignedIn, kept: Kept) -> None:
    """Take up what the provider says now, after a record of what that changes.

    `kept`: what it was asked with.
    """
    name = found.who.name
    known = await server.store.look(partial(users.get, name=name))
    before = set() if known is None else set(known.groups)
    after = {f"{found.who.issuer}|{it}" for it in found.person.groups}
    if before != after:
        await server.records.event(
            "user.groups",
            peer=None,
            user=f"user:{name}",
            admin={
                "added": " ".join(sorted(after - before)),
                "removed": " ".join(sorted(before - after)),
            },
        )

    def work(conn: Transaction) -> bool:
        federated_users.end_turn(conn, name=name)
        groups, now = found.person.groups, server.clock()
        if not vouch(conn, server.config(), found.who, groups, now=now):
            return False  # nothing is kept of who was disabled, or forgotten, meanwhile
        fresh = found.kept
        keep_renewed(server.vault, conn, found.who, before=kept, fresh=fresh, now=now)
        return True

    if not await server.change(work):
        raise InvalidGrantError("the user is disabled")


async def _end(server: AuthorizationServer, name: str, reason: str) -> None:
    """End all that a user has here; a new login stays possible."""
    await server.records.event(
        "revoke", peer=None, user=f"user:{name}", admin={"kind": "user", "reason": reason}
    )
    revoke = partial(
        revocations.revoke,
        kind="user",
        key=f"user:{name}",
        reason=f"identity provider: {reason}",
        now=server.clock(),
    )
    await server.change(revoke)
