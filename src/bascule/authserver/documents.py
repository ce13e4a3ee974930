"""Client ID metadata documents: fetched, checked, and kept for a while.

Kept by each process for itself: it is a cache, and another process fetches its own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from bascule.clock import monotonic
from bascule.errors import BasculeError
from bascule.identity.client_document import (
    MAX_BYTES,
    ClientDocument,
    InvalidDocumentError,
    parse_document,
)
from bascule.identity.client_keys import MAX_JWKS_BYTES, public_jwks
from bascule.identity.keys import BadKeyError
from bascule.net.fetch import FetchError, FetchPolicy, fetch

LEAST_SECONDS = 300
MOST_SECONDS = 86_400
USUAL_SECONDS = 3600
"""How long a document is kept: as it says itself, within these bounds."""
RENEW_SECONDS = 60
"""Age from which a document is fetched anew because a signature does not fit it."""
MAX_KEPT = 500
MAX_FETCHES = 8
"""At once; more wait."""
MEDIA_TYPES = frozenset({"application/json", "application/client-metadata+json"})
KEY_MEDIA_TYPES = frozenset({"application/json", "application/jwk-set+json"})


class DocumentUnavailableError(BasculeError):
    """A client cannot be known at the moment; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Published:
    """A client's document, with its keys."""

    document: ClientDocument
    jwks: str | None
    """Its public keys, wherever they were; None for a public client."""


@dataclass(frozen=True, slots=True)
class _Kept:
    published: Published
    since: float
    until: float


class Documents:
    """Documents of clients; used on one event loop."""

    def __init__(
        self, policy: Callable[[], FetchPolicy], *, now: Callable[[], float] = monotonic
    ) -> None:
        """`policy` gives what may be fetched; its size and types are set here."""
        self._policy = policy
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._running: dict[str, asyncio.Task[Published]] = {}
        self._turn = asyncio.Semaphore(MAX_FETCHES)

    async def get(self, client_id: str) -> Published:
        """Give the document at a URL that was checked by `address_problem`.

        Only valid ones are kept. Raises `DocumentUnavailableError`.
        """
        kept = self._kept.get(client_id)
        if kept is not None and self._now() < kept.until:
            self._kept.move_to_end(client_id)
            return kept.published
        return await self._fetch_once(client_id)

    async def renew(self, client_id: str) -> Published | None:
        """Give a document anew, since its keys may have changed; None when it is new.

        Raises `DocumentUnavailableError`.
        """
        kept = self._kept.get(client_id)
        if kept is not None and self._now() < kept.since + RENEW_SECONDS:
            return None
        return await self._fetch_once(client_id)

    async def _fetch_once(self, client_id: str) -> Published:
        """Fetch for all who ask meanwhile; it goes on when one of them goes away."""
        task = self._running.get(client_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(client_id))
            self._running[client_id] = task
            task.add_done_callback(partial(self._ended, client_id))
        return await asyncio.shield(task)

    def _ended(self, client_id: str, task: asyncio.Task[Published]) -> None:
        self._running.pop(client_id, None)
        if not task.cancelled():
            task.exception()  # all who wanted to know it may have gone away

    async def _fetch(self, client_id: str) -> Published:
        try:
            async with self._turn:
                found, keep_seconds = await self._read(client_id)
        except (FetchError, InvalidDocumentError, BadKeyError) as exc:
            raise DocumentUnavailableError(f"document of the client: {exc}") from exc
        now = self._now()
        self._kept[client_id] = _Kept(found, since=now, until=now + keep_seconds)
        self._kept.move_to_end(client_id)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _read(self, client_id: str) -> tuple[Published, int]:
        answer = await fetch(client_id, self._limited(MAX_BYTES, MEDIA_TYPES))
        document = parse_document(answer.body, client_id=client_id)
        keep = answer.keep_seconds(
            least=LEAST_SECONDS, most=MOST_SECONDS, otherwise=USUAL_SECONDS
        )
        if document.jwks_uri is None:
            return Published(document, document.jwks), keep
        limited = self._limited(MAX_JWKS_BYTES, KEY_MEDIA_TYPES)
        keys = await fetch(document.jwks_uri, limited)
        return Published(document, public_jwks(keys.body)), keep

    def _limited(self, max_bytes: int, media_types: frozenset[str]) -> FetchPolicy:
        return replace(self._policy(), max_bytes=max_bytes, media_types=media_types)
