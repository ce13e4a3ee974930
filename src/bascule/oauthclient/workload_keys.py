"""Keys of platforms that vouch for workloads: read when needed, and kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from bascule.clock import monotonic
from bascule.config.model import Config
from bascule.config.workloads import Workload
from bascule.errors import BasculeError
from bascule.identity.issuer_documents import (
    BadDocumentError,
    IssuerKeys,
    PublicKey,
    metadata_urls,
    read_keys,
    read_metadata,
)
from bascule.net.addresses import spells_loopback
from bascule.net.fetch import FetchError, FetchPolicy, fetch
from bascule.net.resolver import system_resolver
from bascule.oauthclient.openid import FAILED_SECONDS, KEEP_SECONDS, UNKNOWN_KEY_SECONDS

MAX_BYTES = 256 << 10
_POLICY = FetchPolicy(
    media_types=frozenset({"application/json", "application/jwk-set+json"}),
    max_bytes=MAX_BYTES,
    resolver=system_resolver,
)


class WorkloadKeysUnavailableError(BasculeError):
    """A platform's keys cannot be read at the moment; the text is for the log."""


@dataclass(slots=True, eq=False)
class _Kept:
    """The keys of one place. Times are monotonic seconds."""

    keys: IssuerKeys | None = None
    read_at: float = 0.0
    failed: str = ""
    failed_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class WorkloadKeys:
    """Keys of the configured workloads' issuers; used on one event loop."""

    def __init__(
        self, config: Callable[[], Config], *, now: Callable[[], float] = monotonic
    ) -> None:
        """`config` gives the configuration in force."""
        self._config = config
        self._now = now
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    async def key(self, workload: Workload, kid: str, algorithm: str) -> PublicKey | None:
        """Give a key of a workload's issuer; None when it has no such one.

        Keys are read anew, at most once in ten seconds, for a name that they lack. Raises
        `WorkloadKeysUnavailableError`.
        """
        place = (workload.issuer, workload.jwks_uri, workload.keys_file)
        kept = self._kept.setdefault(place, _Kept())
        async with kept.turn:
            age = self._now() - kept.read_at
            unknown = kept.keys is not None and not kept.keys.knows(kid)
            outdated = age > (UNKNOWN_KEY_SECONDS if unknown else KEEP_SECONDS)
            if kept.keys is None or outdated:
                # Where that fails, those that were read still serve others for their time.
                kept.keys = await self._read(kept, workload)
                kept.read_at = self._now()
            return kept.keys.find(kid, algorithm)

    async def _read(self, kept: _Kept, workload: Workload) -> IssuerKeys:
        """Read keys, unless a reading has failed just now."""
        if kept.failed and self._now() - kept.failed_at < FAILED_SECONDS:
            raise WorkloadKeysUnavailableError(kept.failed)
        try:
            found = read_keys(await self._document(workload))
        except (FetchError, BadDocumentError, OSError) as exc:
            kept.failed, kept.failed_at = str(exc), self._now()
            raise WorkloadKeysUnavailableError(kept.failed) from exc
        kept.failed = ""
        return found

    async def _document(self, workload: Workload) -> bytes:
        if workload.keys_file:
            return await asyncio.to_thread(_file, Path(workload.keys_file))
        uri = workload.jwks_uri or await self._jwks_uri(workload.issuer)
        return (await fetch(uri, self._policy(workload))).body

    async def _jwks_uri(self, issuer: str) -> str:
        url = metadata_urls(issuer)[0]
        policy = replace(_POLICY, private=self._config().network.private)
        loopback = spells_loopback(urlsplit(issuer).hostname or "")
        fetched = await fetch(url, replace(policy, loopback=loopback))
        return read_metadata(fetched.body, issuer)

    def _policy(self, workload: Workload) -> FetchPolicy:
        """Allow loopback where the operator wrote it, and nowhere else."""
        written = urlsplit(workload.jwks_uri or workload.issuer).hostname or ""
        private = self._config().network.private
        return replace(_POLICY, private=private, loopback=spells_loopback(written))


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)
