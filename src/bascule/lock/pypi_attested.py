"""Where files of PyPI were built, as their index says; looked for at locking (PEP 740).

Asked of the very index that the packages came from, and of no other host. An index that
serves no attestations at all is told from one that has none of a file, so that nobody takes
a mirror's silence for a package's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bascule.config.addresses import web_address
from bascule.lock.model import NOT_LOOKED_FOR, Package, Provenance
from bascule.lock.purl import name_of
from bascule.lock.pypi_provenance import DOCUMENT_BYTES, verify_pypi
from bascule.net.fetch import FetchError, FetchPolicy, fetch

TOTAL_SECONDS = 15.0
REQUEST_SECONDS = 5.0
PAGE_BYTES = 32 << 20
AT_ONCE = 8

_PAGE = frozenset({"application/vnd.pypi.simple.v1+json"})
_DOCUMENT = frozenset({"application/vnd.pypi.integrity.v1+json", "application/json"})


class _File(Struct):
    filename: str
    provenance: str | UnsetType | None = UNSET
    """None: this file has none. Unset: the index says nothing about any."""


class _Page(Struct):
    """An index's page about one project, JSON (PEP 691, 740)."""

    files: list[_File]


_pages = msgspec.json.Decoder(_Page)


def with_provenance(
    packages: Sequence[Package], root: str, index: str, *, is_public: bool
) -> tuple[Package, ...]:
    """Give packages with their provenance, as far as the index serves it.

    The page of the root tells whether it serves any; if not, no other is asked. `index` is
    its URL, which the operator's settings name; only one that is not the public registry's
    may have a private address. What takes longer than `TOTAL_SECONDS` is `unavailable`.
    """
    port = (parts := web_address(index)) and (parts.port or 443)
    logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns of being offline
    own = f"{parts.hostname}:{port}" if parts is not None and not is_public else ""
    asking = _Index(index.rstrip("/"), (own,) if own else ())
    return asyncio.run(_looked_up(packages, root, asking))


@dataclass(frozen=True, slots=True)
class _Index:
    """An index, and what may be asked there."""

    url: str
    private: tuple[str, ...]
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def page(self, name: str) -> _Page | None:
        """Give the page about a project; None where there is none to be had."""
        body = await self._get(f"{self.url}/{name}/", _PAGE, PAGE_BYTES)
        try:
            return None if body is None else _pages.decode(body)
        except msgspec.DecodeError:
            return None

    async def document(self, url: str) -> bytes | None:
        """Give the document that a page names; it must be on the same host."""
        if _origin(url) != _origin(self.url):
            return None
        return await self._get(url, _DOCUMENT, DOCUMENT_BYTES + 1)

    async def _get(self, url: str, types: frozenset[str], most: int) -> bytes | None:
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


async def _looked_up(
    packages: Sequence[Package], root: str, index: _Index
) -> tuple[Package, ...]:
    first = await index.page(name_of(root))
    if first is None or all(file.provenance is UNSET for file in first.files):
        return tuple(packages)
    tasks = [asyncio.create_task(_provenance(it, index)) for it in packages]
    _, late = await asyncio.wait(tasks, timeout=TOTAL_SECONDS)
    for task in late:
        task.cancel()
    found = [NOT_LOOKED_FOR if task in late else task.result() for task in tasks]
    return tuple(
        msgspec.structs.replace(package, provenance=provenance)
        for package, provenance in zip(packages, found, strict=True)
    )


async def _provenance(package: Package, index: _Index) -> Provenance:
    """Give what is known of one file; an answer that does not come is `unavailable`."""
    page = await index.page(name_of(package.purl))
    if page is None:
        return NOT_LOOKED_FOR
    named = [it.provenance for it in page.files if it.filename == package.artifact.filename]
    if not named or named[0] is UNSET:
        return NOT_LOOKED_FOR
    if named[0] is None:
        return Provenance("absent")
    document = await index.document(str(named[0]))
    if document is None:
        return NOT_LOOKED_FOR
    return await asyncio.to_thread(verify_pypi, document, package.artifact)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
