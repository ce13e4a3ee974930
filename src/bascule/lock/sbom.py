"""Bills of materials of locked connectors: CycloneDX 1.6."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import License
from cyclonedx.model.service import Service
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bascule.clock import UnixTime
from bascule.lock.model import Entry, LockError, Package, Runtime, digest_of, entry_digest

_OURS = uuid.UUID("5ab0d6f3-9f70-5b0c-8a55-6e0d5c3b1f27")
"""Namespace of serial numbers: the same entries give the same one."""

_licenses = LicenseFactory()


def sbom(entries: Mapping[str, Entry], *, version: str, now: UnixTime) -> str:
    """Give one document about all the connectors, by name; `version` is Bascule's.

    Only `metadata.timestamp` differs between two of the same entries. Raises `LockError`.
    """
    digests = {name: entry_digest(entry) for name, entry in entries.items()}
    tool = Component(name="bascule", version=version, type=ComponentType.APPLICATION)
    metadata = BomMetaData(timestamp=datetime.fromtimestamp(now, UTC))
    metadata.tools.components.add(tool)
    bom = Bom(
        metadata=metadata,
        serial_number=uuid.uuid5(_OURS, " ".join(sorted(digests.values()))),
    )
    for name, entry in sorted(entries.items()):
        if entry.launch.transport == "http":
            bom.services.add(_service(name, entry))
        else:
            _add_program(bom, name, entry, digests[name])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _add_program(bom: Bom, name: str, entry: Entry, digest: str) -> None:
    """Put in a connector, all that its tree is made of, and what runs it."""
    connector = Component(
        name=name,
        type=ComponentType.APPLICATION,
        bom_ref=f"connector:{name}",
        version=digest[:12],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        properties=list(_facts_of_entry(entry)),
    )
    bom.components.add(connector)
    refs = {it.purl: _reference(it) for it in entry.packages}
    needed: dict[str, set[str]] = {f"connector:{name}": set()}
    for package in entry.packages:
        bom.components.add(_component(package))
        for parent in package.parents or (f"connector:{name}",):
            there = needed.setdefault(refs.get(parent, parent), set())
            there.add(refs[package.purl])
    for runtime in {it.runtime for it in entry.builds.values()}:
        if runtime.kind != "none":
            component = _runtime(runtime)
            bom.components.add(component)
            needed[f"connector:{name}"].add(str(component.bom_ref.value))
    _join(bom, needed)


def _reference(package: Package) -> str:
    """Name a component within a document: two connectors may lock different bytes."""
    bare = msgspec.structs.replace(package, parents=(), paths=())
    return f"{package.purl}#{digest_of(bare)[:12]}"


def _join(bom: Bom, needed: Mapping[str, Iterable[str]]) -> None:
    """Add what needs what; two connectors may have a package in common."""
    known = {str(it.bom_ref.value): it.bom_ref for it in bom.components}
    before = {str(it.ref.value): it for it in bom.dependencies}
    for ref, names in needed.items():
        if ref not in known:
            raise LockError(f"`{ref}` is needed and not locked: `bascule lock` again")
        there = before.get(ref) or Dependency(ref=known[ref])
        there.dependencies.update(Dependency(ref=known[it]) for it in names)
        bom.dependencies.add(there)


def _component(package: Package) -> Component:
    try:
        purl = PackageURL.from_string(package.purl)
    except ValueError as exc:
        raise LockError(f"`{package.purl}` is no package URL") from exc
    return Component(
        name=purl.name,
        group=purl.namespace or None,
        version=purl.version,
        type=ComponentType.LIBRARY,
        bom_ref=_reference(package),
        purl=purl,
        hashes=list(_hashes(package)),
        licenses=list(_licenses_of(package)),
        properties=list(_facts_of_package(package)),
    )


def _hashes(package: Package) -> Iterator[HashType]:
    if package.artifact.sha256:
        yield HashType(alg=HashAlgorithm.SHA_256, content=package.artifact.sha256)
    if package.artifact.sha512:
        yield HashType(alg=HashAlgorithm.SHA_512, content=package.artifact.sha512)


def _licenses_of(package: Package) -> Iterator[License]:
    if package.license:
        yield _licenses.make_from_string(package.license)


def _facts_of_package(package: Package) -> Iterator[Property]:
    facts = {
        "artifact": package.artifact.filename,
        "published-at": package.published_at,
        "install-scripts": " ".join(package.install_scripts),
        "native": "true" if package.native else "",
        "auto-exec": " ".join(package.auto_exec),
        "yanked": package.yanked,
        "deprecated": package.deprecated,
        "provenance": package.provenance.status,
    }
    for name, value in facts.items():
        if value:
            yield Property(name=f"bascule:{name}", value=value)


def _facts_of_entry(entry: Entry) -> Iterator[Property]:
    yield Property(name="bascule:owner", value=entry.access.owner or "nobody")
    for platform, build in sorted(entry.builds.items()):
        yield Property(name=f"bascule:tree:{platform}", value=build.tree.sha256)
    if entry.surface is not None:
        yield Property(name="bascule:surface", value=entry.surface.set)


def _runtime(runtime: Runtime) -> Component:
    return Component(
        name=runtime.kind,
        version=runtime.version,
        type=ComponentType.PLATFORM,
        bom_ref=f"runtime:{runtime.kind}@{runtime.version}:{runtime.sha256[:12]}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=runtime.sha256)],
    )


def _service(name: str, entry: Entry) -> Service:
    """Describe a remote server: its bytes are not ours to see."""
    return Service(
        name=name,
        bom_ref=f"connector:{name}",
        endpoints=[XsUri(entry.launch.url)],
        authenticated=entry.access.credential != "none",
        x_trust_boundary=True,
        properties=list(_facts_of_entry(entry)),
    )
