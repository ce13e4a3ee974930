"""What differs between the packages of two entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from bascule.lock.model import NOT_LOOKED_FOR, Package, Provenance


class PackageChange(Struct, frozen=True):
    """One package that is different, whatever its versions."""

    name: str
    """purl without the version: `pkg:pypi/anyio`."""
    change: Literal["added", "removed", "changed"]
    before: tuple[str, ...] = ()
    """Versions; npm has several of one package side by side."""
    after: tuple[str, ...] = ()
    published_at: str = ""
    """When the newest of them was published (RFC 3339)."""
    notes: tuple[str, ...] = ()
    """What a reviewer should know."""


def compare_packages(
    before: Sequence[Package], after: Sequence[Package]
) -> list[PackageChange]:
    """Compare packages by name; those with notes come first."""
    old, new = _by_name(before), _by_name(after)
    found = [
        change
        for name in sorted(old.keys() | new.keys())
        if (change := _compare(name, old.get(name, []), new.get(name, []))) is not None
    ]
    return sorted(found, key=lambda it: (not it.notes, it.name))


def _by_name(packages: Sequence[Package]) -> dict[str, list[Package]]:
    found: dict[str, list[Package]] = {}
    for package in packages:
        found.setdefault(package.purl.rpartition("@")[0], []).append(package)
    return found


def _compare(
    name: str, before: list[Package], after: list[Package]
) -> PackageChange | None:
    if before == after:
        return None
    return PackageChange(
        name,
        "added" if not before else "removed" if not after else "changed",
        before=tuple(_version(it) for it in before),
        after=tuple(_version(it) for it in after),
        published_at=max((it.published_at for it in after), default=""),
        notes=tuple(_notes(before, after)),
    )


def _version(package: Package) -> str:
    return package.purl.rpartition("@")[2]


def _notes(before: list[Package], after: list[Package]) -> Iterator[str]:
    known = {it.purl: it for it in before}
    nearest = before[-1] if before else None
    told: set[str] = set()
    for package in after:
        old = known.get(package.purl)
        if old == package:
            continue
        found = [*_warnings(package, old or nearest)]
        if old is not None:
            found += _of_one_version(old, package)
            found = found or ["what is known of it differs"]
        for note in found:
            if note not in told:
                told.add(note)
                yield note


def _of_one_version(before: Package, after: Package) -> Iterator[str]:
    """Tell what the same version says differently; other bytes should never happen."""
    if before.artifact != after.artifact:
        yield "the same version with other bytes"
    for field, told in (
        ("others", "hashes for other platforms differ"),
        ("published_at", "another time of publication"),
        ("parents", "needed by other packages"),
        ("paths", "lies elsewhere in the tree"),
    ):
        if getattr(before, field) != getattr(after, field):
            yield told


def _warnings(package: Package, old: Package | None) -> Iterator[str]:
    """Tell what a version brings that the one before does not have."""
    scripts = _new(package.install_scripts, () if old is None else old.install_scripts)
    if scripts:
        yield f"would run scripts at installation: {scripts}"
    starts = _new(package.auto_exec, () if old is None else old.auto_exec)
    if starts:
        yield f"is run unasked by the interpreter: {starts}"
    if package.native and not (old is not None and old.native):
        yield "brings machine code"
    if package.yanked and (old is None or old.yanked != package.yanked):
        yield f"was yanked: {package.yanked}"
    if package.deprecated and (old is None or old.deprecated != package.deprecated):
        yield f"is deprecated: {package.deprecated}"
    if old is not None:
        yield from _lost(old, package)
    elif package.provenance.status == "invalid":
        yield "its provenance is invalid"


def _lost(old: Package, package: Package) -> Iterator[str]:
    """Tell what differs from the version before beside what it brings."""
    if _who(old.provenance) != _who(package.provenance):
        yield (
            f"provenance: {_shown(old.provenance)} before, {_shown(package.provenance)} now"
        )
    if old.license != package.license:
        yield f"licence: {old.license or 'none'} before, {package.license or 'none'} now"
    gone = [
        name
        for name in ("install_scripts", "auto_exec", "native", "yanked", "deprecated")
        if getattr(old, name) and not getattr(package, name)
    ]
    if gone:
        yield f"no longer: {', '.join(gone)}"


def _who(provenance: Provenance) -> tuple[str, str, str, str]:
    """Give what identifies the builder; commit and run differ with each version."""
    return (
        provenance.status,
        provenance.issuer,
        provenance.repository,
        provenance.workflow,
    )


def _shown(provenance: Provenance) -> str:
    if provenance == NOT_LOOKED_FOR:
        return "unavailable"
    return f"{provenance.status} {provenance.repository}".strip()


def _new(after: Sequence[str], before: Sequence[str]) -> str:
    return ", ".join(it for it in after if it not in before)
