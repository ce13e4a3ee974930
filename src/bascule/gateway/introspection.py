"""What issuers said lately of their tokens; they are asked once for all who wait."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.clock import UnixTime, monotonic
from bascule.config.model import Issuer
from bascule.errors import BasculeError
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.introspected import (
    UnreadableAnswerError,
    introspected,
    may_be_opaque,
    read_answer,
)

log = logging.getLogger("bascule")

MAX_TOLD = 20_000
MAX_INACTIVE = 4096
"""Answers that are kept; texts that are no tokens cannot drive out what is one."""
MAX_ASKING = 64
"""Questions under way at one issuer; anybody can make up tokens."""
PAUSE_SECONDS = 1.0
"""After a question in vain nothing is asked for so long."""
GRACE_SECONDS = 15.0
"""How long a stream goes on whose token cannot be asked about anew."""

Ask = Callable[[bytes], Awaitable[bytes]]
"""Shows the issuer a token and gives its answer; raises `BasculeError` without one."""


class IssuerUnavailableError(BasculeError):
    """Whether a token is valid cannot be told: its issuer does not say what is needed."""


class UnknownTokenError(IssuerUnavailableError):
    """Only its issuer knows what a token is: `learn`, and then look again.

    Who looks again in vain, since the answer took longer than it counts, has none.
    """

    def __init__(self, answers: Answers, token: bytes) -> None:
        super().__init__("the token's issuer does not say in time what it is")
        self._answers = answers
        self._token = token

    async def learn(self) -> None:
        """Ask. Raises `IssuerUnavailableError`."""
        await self._answers.learn(self._token)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What an issuer said of one token; None: that it is not active."""

    answers: Answers = field(repr=False)
    token: bytes = field(repr=False)
    claims: Mapping[str, Any] | None = field(repr=False)
    until: float
    """Monotonic seconds until when it counts."""

    def renewed(self) -> Told | None:
        """Give what counts by now of a token that is in use; None when it may not be."""
        return self.answers.renewed(self)


class Answers:
    """Of one issuer; used on the event loop only."""

    def __init__(self, rules: Issuer, now: Callable[[], float] = monotonic) -> None:
        self._rules = rules
        self._now = now
        self.ask: Ask | None = None
        self._active: OrderedDict[bytes, Told] = OrderedDict()
        self._inactive: OrderedDict[bytes, Told] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[bool]] = {}
        self._pause_until = 0.0
        self._problem = ""

    def verify(
        self, token: bytes, connector: str, now: UnixTime, leeway: int
    ) -> AccessToken:
        """Give what a token means, if its issuer said so a moment ago.

        Raises `InvalidTokenError`, or `UnknownTokenError` when it must be asked.
        """
        if not may_be_opaque(token):
            raise InvalidTokenError("token is malformed")
        told = self.told(token)
        if told is None:
            raise UnknownTokenError(self, token)
        if told.claims is None:
            raise InvalidTokenError("token is not active", permanent=False)
        return introspected(
            told.claims, token, self._rules, connector=connector, now=now, leeway=leeway
        )

    def told(self, token: bytes) -> Told | None:
        """Give what still counts of what was said of a token."""
        digest = _digest(token)
        found = self._active.get(digest) or self._inactive.get(digest)
        return None if found is None or found.until <= self._now() else found

    def renewed(self, told: Told) -> Told | None:
        """Give what is said of a token by now, asking when that is not known.

        Meanwhile, and for a while when there is no answer, what was said goes on. None
        when it is not active any more, or means something else.
        """
        found = self.told(told.token)
        if found is not None:
            return found if found.claims == told.claims else None
        if told.until + GRACE_SECONDS <= self._now():
            return None
        if self._may_ask() and _digest(told.token) not in self._asking:
            self._start(told.token)
        return told

    async def learn(self, token: bytes) -> None:
        """Ask about a token, together with all who want to know the same.

        Raises `IssuerUnavailableError`.
        """
        asking = self._asking.get(_digest(token))
        if asking is None:
            if not self._may_ask():
                raise IssuerUnavailableError("the token's issuer cannot be asked")
            asking = self._start(token)
        # Who goes away while waiting ends it for nobody else.
        if not await asyncio.shield(asking):
            raise IssuerUnavailableError("the token's issuer cannot be asked")

    def _may_ask(self) -> bool:
        return len(self._asking) < MAX_ASKING and self._pause_until <= self._now()

    def _start(self, token: bytes) -> asyncio.Task[bool]:
        digest = _digest(token)
        asking = asyncio.get_running_loop().create_task(self._learn(token, digest))
        self._asking[digest] = asking
        asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return asking

    async def _learn(self, token: bytes, digest: bytes) -> bool:
        begun = self._now()
        try:
            if self.ask is None:
                raise IssuerUnavailableError("nothing asks it")
            answer = await self.ask(token)
        except BasculeError as exc:
            self._pause_until = self._now() + PAUSE_SECONDS
            return self._failed(str(exc))
        try:
            claims = read_answer(answer)
        except UnreadableAnswerError as exc:
            # No pause: it may be for this token alone, which anybody can have made up.
            return self._failed(str(exc))
        self._problem = ""
        assert self._rules.introspection is not None  # noqa: S101 - of such issuers alone
        # Counted from before the question: it may have been revoked right after the answer.
        until = begun + self._rules.introspection.cache_seconds
        told = Told(self, token, claims, until)
        self._active.pop(digest, None)
        self._inactive.pop(digest, None)
        if claims is None:
            _remember(self._inactive, digest, told, MAX_INACTIVE)
        else:
            _remember(self._active, digest, told, MAX_TOLD)
        return True

    def _failed(self, problem: str) -> bool:
        if problem != self._problem:
            log.error("`%s` cannot be asked about tokens: %s", self._rules.issuer, problem)
        self._problem = problem
        return False


def _remember(
    kept: OrderedDict[bytes, Told], digest: bytes, told: Told, limit: int
) -> None:
    if len(kept) >= limit:
        kept.popitem(last=False)
    kept[digest] = told


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
