"""What identity providers tell unasked: heard, written down, done, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bascule.clock import Clock, UnixTime
from bascule.config.providers import Provider
from bascule.identity.notice import Expected, Notice, read_notice, verify_notice
from bascule.identity.provider_profiles import profile_of
from bascule.identity.revocation import LONGEST_LIFE_SECONDS
from bascule.identity.subject_identifier import Subject
from bascule.oauthclient.openid import NoSuchProviderError, OpenIdProviders
from bascule.storage import (
    browser_sessions,
    ended_logins,
    federated_users,
    grants,
    provider_sessions,
    revocations,
    used_assertions,
)
from bascule.storage.store import Store, Transaction
from bascule.web.records import Records

log = logging.getLogger("bascule")

LEEWAY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Ending:
    """What a notice ends here."""

    subject: Subject
    why: str
    """For the log: which door it came by."""
    whose: str | None = None
    """The `sub` that a session must be of, when that is said."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One process's ear for all providers; what it was told already is in the database."""

    url: str
    """`server.public_url`: providers address what they sign to addresses below it."""
    store: Store
    records: Records
    providers: OpenIdProviders
    secret: Callable[[str], str]
    """Reads a secret reference."""
    note_change: Callable[[], None]
    """Remembers that revocations have changed; may write files."""
    clock: Clock

    def provider(self, name: str) -> Provider:
        """Give a provider that signs. Raises `NoSuchProviderError`."""
        provider = self.providers.provider(name)
        if profile_of(provider).plain_oauth:
            raise NoSuchProviderError("that provider signs nothing")
        return provider

    async def hear(
        self, name: str, token: str, make: Callable[[Provider, str], Expected]
    ) -> Notice:
        """Verify a notice of a provider; `make` gets its metadata's issuer.

        Raises `InvalidNoticeError`, `NoSuchProviderError`, `ProviderUnavailableError`.
        """
        provider = self.provider(name)
        unverified = read_notice(token)
        metadata = await self.providers.metadata(name)
        key = await self.providers.key(name, unverified.kid, unverified.algorithm)
        expected = make(provider, metadata.issuer)
        now = self.clock()
        return verify_notice(unverified, key, expected, now=now, leeway=LEEWAY_SECONDS)

    async def end(
        self, name: str, notice: Notice, endings: Iterable[Ending], *, peer: str
    ) -> bool:
        """End what a notice names, everywhere; False when it was told before.

        The record comes first. That the notice is used and what it does is one transaction:
        after a crash in between the provider tells it again.
        """
        used = partial(used_assertions.is_used, digest=notice.digest)
        if await self.store.look(used):
            return False
        todo = list(endings)
        for ending in todo:
            await self._record(name, notice, ending, peer)
        work = partial(_end_once, name=name, notice=notice, todo=todo, now=self.clock())
        done = await self.store.transact(work)
        await asyncio.to_thread(self.note_change)
        return done

    async def _record(self, name: str, notice: Notice, ending: Ending, peer: str) -> None:
        subject = ending.subject
        user = subject.id if subject.kind == "user" else ending.whose
        await self.records.event(
            "revoke",
            peer=peer,
            user=None if user is None else f"user:{notice.issuer}|{user}",
            admin={
                "kind": "user" if subject.kind != "session" else "provider session",
                "key": subject.id,
                "provider": name,
                "reason": ending.why,
            },
        )


def _end_once(
    conn: Transaction, *, name: str, notice: Notice, todo: list[Ending], now: UnixTime
) -> bool:
    if not used_assertions.use(
        conn, digest=notice.digest, expires_at=notice.expires_at, now=now
    ):
        return False
    for ending in todo:
        if ending.subject.kind == "session":
            _end_session(conn, name, notice, ending, now)
        for user in _users(conn, notice, ending.subject):
            _end_user(conn, user, ending.why, now)
    return True


def _users(conn: Transaction, notice: Notice, subject: Subject) -> list[str]:
    """Give the names of the users that are meant: all of the notice's own issuer."""
    if subject.kind == "user":
        return [f"{notice.issuer}|{subject.id}"]
    if subject.kind == "session":
        return []
    known = federated_users.known_as(conn, issuer=notice.issuer, external_id=subject.id)
    names = {it.who.name for it in known}
    # Many providers call a user by its `sub` here; of no other user can that be the name.
    return sorted(names | {f"{notice.issuer}|{subject.id}"})


def _end_user(conn: Transaction, user: str, why: str, now: UnixTime) -> None:
    """End all of a user.

    Of one that never came there are at most tokens of the issuer itself: such an entry need
    not stay.
    """
    known = federated_users.get(conn, user) is not None
    revocations.revoke(
        conn,
        kind="user",
        key=f"user:{user}",
        reason=why,
        now=now,
        expires_at=None if known else UnixTime(now + LONGEST_LIFE_SECONDS),
    )
    browser_sessions.end_all(conn, name=user)


def _end_session(
    conn: Transaction, name: str, notice: Notice, ending: Ending, now: UnixTime
) -> None:
    """End what began with a session at the provider: browsers' sign-ins, and grants."""
    sid = ending.subject.id
    provider_sessions.end(conn, provider=name, sid=sid, now=now)
    found = provider_sessions.of_provider_session(conn, provider=name, sid=sid)
    for user, number in found:
        issuer, _, subject = user.partition("|")
        if issuer == notice.issuer and ending.whose in {None, subject}:
            browser_sessions.end_numbered(conn, name=user, number=number)
            grants.end_numbered(
                conn, user=f"user:{user}", number=number, reason=ending.why, now=now
            )
            ended_logins.end_unused(conn, user=f"user:{user}", now=now)
