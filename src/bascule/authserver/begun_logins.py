"""Logins under way at an identity provider: kept sealed, taken once, ended meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from bascule.authserver.provider_exchange import SignedIn
from bascule.authserver.sealed import seal, unseal
from bascule.clock import UnixTime
from bascule.oauthclient.authorization import Pending
from bascule.storage import issue_numbers, provider_logins, provider_sessions, revocations
from bascule.storage.provider_logins import ProviderLogin
from bascule.storage.store import Transaction
from bascule.web.site import Site


class _Sealed(msgspec.Struct):
    pending: Pending
    number: int


@dataclass(frozen=True, slots=True)
class Begun:
    """One login, as it was begun."""

    pending: Pending = field(repr=False)
    """What the answer is checked with."""
    number: int
    """Issue number: a revocation that is not below it ends the login."""
    next: str
    """Where on this site it leads afterwards; empty for nowhere in particular."""


def begin_login(
    conn: Transaction, *, name: str, browser: str, next_: str, pending: Pending, site: Site
) -> None:
    """Keep a login at a provider, sealed under its state, for the browser with a cookie."""
    now = site.clock()
    sealed = _Sealed(pending, issue_numbers.take(conn, now=now))
    text = msgspec.json.encode(sealed).decode()
    login = ProviderLogin(
        provider=name,
        browser_hash=_digest(browser),
        next=next_,
        sealed=seal(text, under=pending.state, entropy=site.entropy),
    )
    provider_logins.begin(conn, login, state_hash=_digest(pending.state), now=now)


def take_login(
    conn: Transaction, *, name: str, browser: str, state: str, now: UnixTime
) -> Begun | None:
    """Give the login that an answer is for, and forget it; None when nobody waits."""
    login = provider_logins.take(
        conn,
        state_hash=_digest(state),
        provider=name,
        browser_hash=_digest(browser),
        now=now,
    )
    plain = None if login is None else unseal(login.sealed, under=state)
    if login is None or plain is None:
        return None
    kept = msgspec.json.decode(plain, type=_Sealed)
    return Begun(kept.pending, kept.number, login.next)


def was_ended(conn: Transaction, found: SignedIn, begun: Begun) -> bool:
    """Tell whether the user was revoked, or the session there ended, since it began."""
    who = found.who
    return revocations.covers(
        conn,
        number=begun.number,
        user=f"user:{who.name}",
        client_id="",
        connector="",
        grant_id=None,
    ) or provider_sessions.has_ended(conn, provider=who.provider, sid=found.session)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
