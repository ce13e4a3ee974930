"""Documents of a registry beside its packages: asked of its own host, within bounds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bascule.config.addresses import web_address
from bascule.net.fetch import FetchError, FetchPolicy, fetch

REQUEST_SECONDS = 5.0
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RegistryDocuments:
    """What may be asked of one registry, whose URL the operator's settings name."""

    url: str
    """Without a `/` at its end."""
    private: tuple[str, ...] = ()
    """HOST:PORT that may have a private address."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @classmethod
    def of(cls, url: str, *, is_public: bool) -> RegistryDocuments:
        """Give a registry; only one that is not public may have a private address."""
        parts = web_address(url)
        if parts is None or is_public:
            return cls(url.rstrip("/"))
        return cls(url.rstrip("/"), (f"{parts.hostname}:{parts.port or 443}",))

    async def get(self, url: str, types: frozenset[str], most: int) -> bytes | None:
        """Give a document on the registry's own host; None where none is to be had."""
        if _origin(url) != _origin(self.url):
            return None
        policy = FetchPolicy(
            media_types=types,
            max_bytes=most,
            seconds=REQUEST_SECONDS,
            private=self.private,
            loopback=bool(self.private),
        )
        async with self.turns:
            try:
                return (await fetch(url, policy)).body
            except FetchError:
                return None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
