"""Where packages of npm were built, as their registry says; looked for at locking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from bascule.lock.model import NOT_LOOKED_FOR, Package, Provenance
from bascule.lock.npm_provenance import verify_npm
from bascule.lock.purl import name_of, version_of
from bascule.lock.pypi_provenance import DOCUMENT_BYTES
from bascule.lock.registry_documents import RegistryDocuments

TOTAL_SECONDS = 30.0
_DOCUMENT = frozenset({"application/json"})


def with_npm_provenance(
    packages: Sequence[Package], registry_of: Callable[[str], str], public: str
) -> tuple[Package, ...]:
    """Give packages with their provenance verified, where the registry says it has one.

    `registry_of` gives the registry's URL for a package's name; only one that is not the
    `public` one may have a private address. An answer that does not come in time is
    `unavailable`.
    """
    attested = [it for it in packages if it.provenance.status == "unsupported"]
    if not attested:
        return tuple(packages)
    logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns of being offline
    urls = {registry_of(name_of(it.purl)) for it in attested}
    registries = {
        it: RegistryDocuments.of(it, is_public=it.rstrip("/") == public.rstrip("/"))
        for it in urls
    }
    asked = [(it, registries[registry_of(name_of(it.purl))]) for it in attested]
    found = asyncio.run(_looked_up(asked))
    return tuple(
        msgspec.structs.replace(it, provenance=found.get(it.purl, it.provenance))
        for it in packages
    )


async def _looked_up(
    asked: Sequence[tuple[Package, RegistryDocuments]],
) -> dict[str, Provenance]:
    tasks = {it.purl: asyncio.create_task(_provenance(it, where)) for it, where in asked}
    done, late = await asyncio.wait(tasks.values(), timeout=TOTAL_SECONDS)
    for task in late:
        task.cancel()
    return {
        purl: task.result() if task in done else NOT_LOOKED_FOR
        for purl, task in tasks.items()
    }


async def _provenance(package: Package, registry: RegistryDocuments) -> Provenance:
    name = name_of(package.purl).replace("/", "%2f")
    place = f"{registry.url}/-/npm/v1/attestations/{name}@{version_of(package.purl)}"
    document = await registry.get(place, _DOCUMENT, DOCUMENT_BYTES + 1)
    if document is None:
        return NOT_LOOKED_FOR
    sha512 = package.artifact.sha512
    return await asyncio.to_thread(verify_npm, document, package.purl, sha512)
