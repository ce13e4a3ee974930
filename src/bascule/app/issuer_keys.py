"""Reads the keys of foreign issuers, again and again, off the way of any request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

from bascule.app.secrets import ReadSecret
from bascule.audit.writer import LogUnavailableError
from bascule.clock import monotonic
from bascule.config.model import Config, Issuer
from bascule.errors import BasculeError
from bascule.gateway.callers import Callers
from bascule.gateway.issuers import ForeignIssuer
from bascule.identity.issuer_documents import (
    BadDocumentError,
    IssuerKeys,
    metadata_urls,
    read_keys,
    read_metadata,
)
from bascule.net.addresses import spells_loopback
from bascule.net.fetch import FetchError, FetchPolicy, fetch
from bascule.net.resolver import system_resolver
from bascule.oauthclient.introspection import introspect_token
from bascule.web.records import Records

log = logging.getLogger("bascule")

START_SECONDS = 5.0
"""How long the start waits for keys; without them the tokens of that issuer get 503."""
LEAST_SECONDS = 60
MOST_SECONDS = 600
USUAL_SECONDS = 300
"""Between two readings: as the issuer says, within these bounds; else the last. A key that
the issuer takes back is to count no longer than that, whatever it said before."""
RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 60.0
"""After a failure, doubled each time."""
UNKNOWN_KEY_SECONDS = 5.0
MAX_UNKNOWN_KEY_SECONDS = 300.0
"""Between readings because a token named an unknown key; doubled each time in vain, since
anybody can make up a name."""
KEEP_SECONDS = 4 * 3600
"""How long keys count that could not be read again."""

_POLICY = FetchPolicy(
    media_types=frozenset(
        {
            "application/json",
            "application/jwk-set+json",
            # What places for static files say of a key set. The operator chose the place.
            "application/octet-stream",
            "text/plain",
            "",
        }
    ),
    max_bytes=256 << 10,
    resolver=system_resolver,
)


@dataclass(slots=True, eq=False)
class _Reading:
    """How the reading of one issuer's documents goes. Times are monotonic seconds."""

    issuer: ForeignIssuer
    policy: FetchPolicy
    succeeded: float
    """When it last did; at first, when it became known."""
    due: float = 0.0
    last: float = 0.0
    retry: float = RETRY_SECONDS
    unknown_key: float = UNKNOWN_KEY_SECONDS
    wanted: bool = False
    """The next reading is because of an unknown key."""
    problem: str = ""

    def want(self) -> None:
        """Read soon, but not more often than the rate allows."""
        self.wanted = True
        self.due = min(self.due, self.last + self.unknown_key)

    def learned(self, *, something: bool) -> None:
        """Set the rate for the next unknown key by what this reading brought."""
        if something:
            self.unknown_key = UNKNOWN_KEY_SECONDS
        elif self.wanted:
            self.unknown_key = min(self.unknown_key * 2, MAX_UNKNOWN_KEY_SECONDS)
        self.wanted = False


class IssuerKeyReader:
    """Keeps the keys of all configured issuers current."""

    def __init__(
        self,
        callers: Callers,
        records: Records,
        read_secret: ReadSecret,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._now = now
        self._read_secret = read_secret
        self._callers = callers
        self._issuers = callers.issuers
        self._records = records
        self._readings: dict[str, _Reading] = {}

    def configure(self, config: Config) -> None:
        """Take up a configuration; what changed in it is read at once."""
        self._issuers.configure(config.issuers)
        self._callers.look_again()
        old, self._readings = self._readings, {}
        for issuer in self._issuers.every():
            name = issuer.rules.issuer
            if issuer.answers is not None:
                policy = _policy(issuer.rules, config)
                issuer.answers.ask = partial(_ask, self._read_secret, issuer.rules, policy)
                continue
            reading = old.get(name)
            if reading is None or reading.issuer is not issuer:
                reading = _Reading(issuer, _POLICY, self._now())
            reading.policy = _policy(issuer.rules, config)
            issuer.on_unknown_key = reading.want
            self._readings[name] = reading

    async def start(self) -> None:
        """Read all once, for a while; what is not there by then comes later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self.read_due()

    async def read_due(self) -> None:
        """Read what is due; called about once a second."""
        now = self._now()
        due = [it for it in self._readings.values() if it.due <= now]
        await asyncio.gather(*(self._read(it) for it in due))

    async def _read(self, reading: _Reading) -> None:
        reading.last = self._now()
        try:
            keys, seconds = await _read_documents(reading.issuer.rules, reading.policy)
            await self._take(reading, keys)
        except (FetchError, BadDocumentError, LogUnavailableError) as exc:
            self._failed(reading, str(exc))
            return
        reading.succeeded = self._now()
        reading.due = reading.last + seconds
        reading.retry, reading.problem = RETRY_SECONDS, ""

    async def _take(self, reading: _Reading, keys: IssuerKeys) -> None:
        """Put keys into force, once it is in the log which ones changed."""
        issuer = reading.issuer
        before = frozenset() if issuer.keys is None else issuer.keys.thumbprints
        added, removed = keys.thumbprints - before, before - keys.thumbprints
        if added or removed:
            change = {"added": _listed(added), "removed": _listed(removed)}
            await self._records.event(
                "issuer.keys", peer=None, admin={"issuer": issuer.rules.issuer, **change}
            )
        reading.learned(something=bool(added))
        issuer.keys, issuer.reachable = keys, True
        if added or removed:
            self._callers.look_again()

    def _failed(self, reading: _Reading, problem: str) -> None:
        issuer = reading.issuer
        issuer.reachable = False
        reading.due = self._now() + reading.retry
        reading.retry = min(reading.retry * 2, MAX_RETRY_SECONDS)
        if problem != reading.problem:
            log.error("keys of `%s` cannot be read: %s", issuer.rules.issuer, problem)
        reading.problem = problem
        if self._now() - reading.succeeded > KEEP_SECONDS and issuer.keys is not None:
            issuer.keys = None
            self._callers.look_again()


def _policy(rules: Issuer, config: Config) -> FetchPolicy:
    """Allow loopback to issuers that the operator runs there."""
    asked = rules.issuer if rules.introspection is None else rules.introspection.endpoint
    written = (rules.issuer, rules.jwks_uri or rules.issuer, asked)
    loopback = any(spells_loopback(urlsplit(it).hostname or "") for it in written)
    return replace(_POLICY, private=config.network.private, loopback=loopback)


async def _ask(
    read_secret: ReadSecret, rules: Issuer, policy: FetchPolicy, token: bytes
) -> bytes:
    """Ask an issuer about a token. Raises `BasculeError`."""
    it = rules.introspection
    assert it is not None  # noqa: S101 - of such issuers alone
    secret = await asyncio.to_thread(read_secret, it.client_secret)
    return await introspect_token(
        it.endpoint,
        it.client_id,
        secret,
        token.decode(),
        policy,
    )


async def _read_documents(rules: Issuer, policy: FetchPolicy) -> tuple[IssuerKeys, int]:
    """Fetch an issuer's keys; give them with the seconds until they are read again.

    Raises `FetchError` or `BadDocumentError`.
    """
    fetched = await fetch(rules.jwks_uri or await _discovered(rules, policy), policy)
    seconds = fetched.keep_seconds(
        least=LEAST_SECONDS, most=MOST_SECONDS, otherwise=USUAL_SECONDS
    )
    return read_keys(fetched.body), seconds


async def _discovered(rules: Issuer, policy: FetchPolicy) -> str:
    """Find where the keys are, by the first metadata that is the issuer's own.

    Raises what was wrong with the first place when no place has it.
    """
    problems: list[BasculeError] = []
    for url in metadata_urls(rules.issuer):
        try:
            return read_metadata((await fetch(url, policy)).body, rules.issuer)
        except (FetchError, BadDocumentError) as exc:
            problems.append(exc)
    raise problems[0]


def _listed(thumbprints: frozenset[str]) -> str:
    return " ".join(sorted(thumbprints))
