"""Challenges of WebAuthn: made without a trace, good for one browser and one purpose, once.

A challenge comes back with the form that answers it, under a message authentication code,
so that showing a page costs the database nothing; only answered ones are noted, until they
would have expired. The code covers the purpose, the browser's cookie and whom it is for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from bascule.clock import Entropy, UnixTime

Purpose = Literal["login", "register"]

CHALLENGE_BYTES = 32
LIFETIME_SECONDS = 600
_TIME_BYTES = 8
_TAG_BYTES = 32


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge."""

    value: bytes
    expires_at: UnixTime

    @property
    def digest(self) -> bytes:
        """What is kept of it once it is used."""
        return hashlib.sha256(self.value).digest()


@dataclass(frozen=True, slots=True)
class Challenges:
    """Makes challenges, and knows its own again."""

    key: bytes
    entropy: Entropy

    def issue(
        self, purpose: Purpose, *, browser: str, subject: str, now: UnixTime
    ) -> tuple[Challenge, str]:
        """Make a challenge, and the text by which it is known again."""
        challenge = Challenge(
            self.entropy(CHALLENGE_BYTES), UnixTime(now + LIFETIME_SECONDS)
        )
        body = challenge.expires_at.to_bytes(_TIME_BYTES, "big") + challenge.value
        tag = self._tag(body, purpose, browser, subject)
        return challenge, base64.urlsafe_b64encode(body + tag).decode()

    def recognize(
        self, text: str, purpose: Purpose, *, browser: str, subject: str, now: UnixTime
    ) -> Challenge | None:
        """Give the challenge that a text stands for; None when it is not good here."""
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != _TIME_BYTES + CHALLENGE_BYTES + _TAG_BYTES:
            return None
        body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body, purpose, browser, subject)):
            return None
        expires_at = UnixTime(int.from_bytes(body[:_TIME_BYTES], "big"))
        if expires_at <= now:
            return None
        return Challenge(body[_TIME_BYTES:], expires_at)

    def user_handle(self, subject: str) -> bytes:
        """Give a WebAuthn user handle: always the same, and says nothing of the user."""
        return self._tag(b"", "handle", "", subject)

    def _tag(self, body: bytes, purpose: str, browser: str, subject: str) -> bytes:
        code = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in (body, purpose.encode(), browser.encode(), subject.encode()):
            code.update(len(part).to_bytes(4, "big") + part)
        return code.digest()
