"""What identity providers publish: read when it is needed, and kept for a while.

Each process keeps its own. Only configured providers are asked, and however many logins
want it, one reading is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import urlsplit

from bascule.clock import monotonic
from bascule.config.model import Config
from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.identity.issuer_documents import (
    BadDocumentError,
    IssuerKeys,
    PublicKey,
    read_keys,
)
from bascule.identity.provider_metadata import (
    ProviderMetadata,
    metadata_url,
    own_metadata,
    read_provider_metadata,
)
from bascule.net.addresses import spells_loopback
from bascule.net.fetch import FetchError, FetchPolicy, fetch
from bascule.net.resolver import system_resolver

KEEP_SECONDS = 300.0
"""How long documents count; a key that the provider takes back is believed no longer."""
FAILED_SECONDS = 5.0
"""After a failure, for how long nobody tries again."""
UNKNOWN_KEY_SECONDS = 10.0
"""Least age of keys that are read anew since a token named one that is not there."""

_POLICY = FetchPolicy(
    media_types=frozenset({"application/json", "application/jwk-set+json"}),
    max_bytes=256 << 10,
    resolver=system_resolver,
)

T = TypeVar("T")


class ProviderUnavailableError(BasculeError):
    """A provider's documents cannot be read at the moment; the text is for the log."""


class NoSuchProviderError(BasculeError):
    """No provider of that name is configured, or no longer."""


@dataclass(slots=True, eq=False)
class _Kept:
    """The documents of one provider. Times are monotonic seconds."""

    provider: Provider
    metadata: ProviderMetadata | None = None
    metadata_at: float = 0.0
    keys: IssuerKeys | None = None
    keys_at: float = 0.0
    failed: BasculeError | None = None
    failed_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class OpenIdProviders:
    """Documents of the configured providers; used on one event loop."""

    def __init__(
        self, config: Callable[[], Config], *, now: Callable[[], float] = monotonic
    ) -> None:
        """`config` gives the configuration in force."""
        self._config = config
        self._now = now
        self._kept: dict[str, _Kept] = {}

    def provider(self, name: str) -> Provider:
        """Give a provider as it is configured now. Raises `NoSuchProviderError`."""
        found = self._config().providers.get(name)
        if found is None:
            raise NoSuchProviderError("there is no such provider")
        return found

    def policy(self, provider: Provider) -> FetchPolicy:
        """Give what may be asked of a provider: loopback for one that is itself there."""
        loopback = spells_loopback(urlsplit(provider.iss).hostname or "")
        private = self._config().network.private
        return replace(_POLICY, private=private, loopback=loopback)

    async def metadata(self, name: str) -> ProviderMetadata:
        """Give a provider's metadata, its issuer checked.

        Raises `NoSuchProviderError` or `ProviderUnavailableError`.
        """
        kept = self._of(name)
        own = own_metadata(kept.provider)
        if own is not None:
            return own
        async with kept.turn:
            return await self._metadata(kept)

    async def key(self, name: str, kid: str, algorithm: str) -> PublicKey | None:
        """Give one of a provider's keys; None when it has no such one.

        Its keys are read anew, at most once in ten seconds, for a name that they lack.
        Raises `NoSuchProviderError` or `ProviderUnavailableError`.
        """
        kept = self._of(name)
        async with kept.turn:
            age = self._now() - kept.keys_at
            unknown = kept.keys is not None and not kept.keys.knows(kid)
            outdated = age > (UNKNOWN_KEY_SECONDS if unknown else KEEP_SECONDS)
            if kept.keys is None or outdated:
                # Where that fails, those that were read still serve others for their time.
                kept.keys = await self._read(kept, self._fetch_keys)
                kept.keys_at = self._now()
            return kept.keys.find(kid, algorithm)

    def _of(self, name: str) -> _Kept:
        provider = self.provider(name)
        kept = self._kept.get(name)
        if kept is None or kept.provider != provider:
            kept = self._kept[name] = _Kept(provider)
        return kept

    async def _metadata(self, kept: _Kept) -> ProviderMetadata:
        if kept.metadata is None or self._now() - kept.metadata_at > KEEP_SECONDS:
            kept.metadata = await self._read(kept, self._fetch_metadata)
            kept.metadata_at = self._now()
        return kept.metadata

    async def _read(self, kept: _Kept, how: Callable[[_Kept], Awaitable[T]]) -> T:
        """Read a document, unless a reading has failed just now."""
        if kept.failed is not None and self._now() - kept.failed_at < FAILED_SECONDS:
            raise ProviderUnavailableError(str(kept.failed))
        try:
            found = await how(kept)
        except (FetchError, BadDocumentError) as exc:
            kept.failed, kept.failed_at = exc, self._now()
            raise ProviderUnavailableError(str(exc)) from exc
        kept.failed = None
        return found

    async def _fetch_metadata(self, kept: _Kept) -> ProviderMetadata:
        url = metadata_url(kept.provider)
        fetched = await fetch(url, self.policy(kept.provider))
        return read_provider_metadata(fetched.body, kept.provider)

    async def _fetch_keys(self, kept: _Kept) -> IssuerKeys:
        metadata = await self._metadata(kept)
        fetched = await fetch(metadata.jwks_uri, self.policy(kept.provider))
        return read_keys(fetched.body)
