"""Where files of PyPI were built, as their index says; looked for at locking (PEP 740).

Asked of the very index that the packages came from, and of no other host. An index that
serves no attestations at all is told from one that has none of a file, so that nobody takes
a mirror's silence for a package's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bascule.lock.model import NOT_LOOKED_FOR, Package, Provenance
from bascule.lock.purl import name_of
from bascule.lock.pypi_provenance import DOCUMENT_BYTES, verify_pypi
from bascule.lock.registry_documents import RegistryDocuments

TOTAL_SECONDS = 15.0
PAGE_BYTES = 32 << 20

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
    logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns of being offline
    registry = RegistryDocuments.of(index, is_public=is_public)
    return asyncio.run(_looked_up(packages, root, registry))


async def _page(registry: RegistryDocuments, name: str) -> _Page | None:
    """Give the page about a project; None where there is none to be had."""
    body = await registry.get(f"{registry.url}/{name}/", _PAGE, PAGE_BYTES)
    try:
        return None if body is None else _pages.decode(body)
    except msgspec.DecodeError:
        return None


async def _looked_up(
    packages: Sequence[Package], root: str, registry: RegistryDocuments
) -> tuple[Package, ...]:
    first = await _page(registry, name_of(root))
    if first is None or all(file.provenance is UNSET for file in first.files):
        return tuple(packages)
    tasks = [asyncio.create_task(_provenance(it, registry)) for it in packages]
    _, late = await asyncio.wait(tasks, timeout=TOTAL_SECONDS)
    for task in late:
        task.cancel()
    found = [NOT_LOOKED_FOR if task in late else task.result() for task in tasks]
    return tuple(
        msgspec.structs.replace(package, provenance=provenance)
        for package, provenance in zip(packages, found, strict=True)
    )


async def _provenance(package: Package, registry: RegistryDocuments) -> Provenance:
    """Give what is known of one file; an answer that does not come is `unavailable`."""
    page = await _page(registry, name_of(package.purl))
    if page is None:
        return NOT_LOOKED_FOR
    named = [it.provenance for it in page.files if it.filename == package.artifact.filename]
    if not named or named[0] is UNSET:
        return NOT_LOOKED_FOR
    if named[0] is None:
        return Provenance("absent")
    document = await registry.get(str(named[0]), _DOCUMENT, DOCUMENT_BYTES + 1)
    if document is None:
        return NOT_LOOKED_FOR
    return await asyncio.to_thread(verify_pypi, document, package.artifact)
