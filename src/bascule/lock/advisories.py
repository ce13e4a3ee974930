"""Advisories in the OSV format, and whether they concern a package.

Source: the OSV schema 1.7, sections on `affected` and on evaluation. There is a third
answer beside yes and no: what cannot be judged is never shown as fine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct, field

from bascule.lock.model import LockError
from bascule.lock.versions import ORDERS, NotAVersionError, VersionKey

ECOSYSTEMS = {"pypi": "PyPI", "npm": "npm"}
"""Type of a package URL → the name that OSV has for it."""

MALWARE_PREFIX = "MAL-"

Answer = Literal["affected", "not_affected", "undecided"]


class Event(Struct, frozen=True):
    """A point at which a range begins or ends; just one of these is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class Range(Struct, frozen=True):
    """A range of versions; commits (`GIT`) say nothing about releases."""

    type: str
    events: tuple[Event, ...] = ()


class AffectedPackage(Struct, frozen=True):
    """What is affected, under whose name."""

    ecosystem: str = ""
    name: str = ""


class Affected(Struct, frozen=True):
    """One package of an advisory."""

    package: AffectedPackage = AffectedPackage()
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()


class _Specific(Struct, frozen=True):
    severity: str | None = None


class Advisory(Struct, frozen=True):
    """What Bascule keeps of an advisory."""

    id: str
    modified: str
    withdrawn: str | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    affected: tuple[Affected, ...] = ()
    database_specific: _Specific = field(default_factory=_Specific)

    @property
    def is_malware(self) -> bool:
        """The package itself is the harm."""
        return any(name.startswith(MALWARE_PREFIX) for name in (self.id, *self.aliases))


_ENDS, _BEGINS, _LAST = range(3)
"""What happens at a point of a range, in the order in which it happens at one version: one
that is fixed and introduced again counts as affected."""

_decoder = msgspec.json.Decoder(Advisory)
_RUNS = re.compile(r"[-_.]+")


def parse_advisory(data: bytes) -> Advisory:
    """Read one advisory. Raises `LockError`."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LockError(f"is no OSV advisory: {exc}") from exc


def normalised(ecosystem: str, name: str) -> str:
    """Give the name under which an ecosystem knows a package (PyPI: PEP 503)."""
    return _RUNS.sub("-", name).lower() if ecosystem == "PyPI" else name


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """A package at one version."""

    ecosystem: str
    name: str
    version: str


def package_version(purl: str) -> PackageVersion | None:
    """Read a package URL; None where there are no advisories for its kind."""
    kind, _, rest = purl.removeprefix("pkg:").partition("/")
    ecosystem = ECOSYSTEMS.get(kind)
    name, at, version = rest.partition("?")[0].partition("#")[0].rpartition("@")
    if ecosystem is None or not at or not name:
        return None
    return PackageVersion(ecosystem, normalised(ecosystem, unquote(name)), unquote(version))


def concerns(advisory: Advisory, package: PackageVersion) -> Answer:
    """Tell whether an advisory is about a package at that version."""
    if advisory.withdrawn is not None:
        return "not_affected"
    undecided = False
    for affected in advisory.affected:
        named = affected.package
        if (
            named.ecosystem.partition(":")[0] != package.ecosystem
            or normalised(package.ecosystem, named.name) != package.name
        ):
            continue
        answer = _concerns(affected, package)
        if answer == "affected":
            return answer
        undecided = undecided or answer == "undecided"
    return "undecided" if undecided else "not_affected"


def fixed_in(advisory: Advisory, package: PackageVersion) -> tuple[str, ...]:
    """Give the versions that an advisory names as fixed, in the order of the document."""
    return tuple(
        event.fixed
        for affected in advisory.affected
        if normalised(package.ecosystem, affected.package.name) == package.name
        for held in affected.ranges
        if held.type != "GIT"
        for event in held.events
        if event.fixed is not None
    )


def _concerns(affected: Affected, package: PackageVersion) -> Answer:
    order = ORDERS[package.ecosystem]
    if package.version in affected.versions:
        return "affected"
    ranges = [it for it in affected.ranges if it.type in {"SEMVER", "ECOSYSTEM"}]
    if not ranges:
        # Only commits are named, or nothing at all: then the advisory names all versions.
        if affected.versions:
            return "not_affected"
        return "undecided" if affected.ranges else "affected"
    try:
        version = order(package.version)
        inside = [_is_inside(it, version, package.ecosystem) for it in ranges]
        listed = any(_same(order, it, version) for it in affected.versions)
    except NotAVersionError:
        return "undecided"
    return "affected" if listed or any(inside) else "not_affected"


def _same(order: Callable[[str], VersionKey], listed: str, version: VersionKey) -> bool:
    """Tell whether two ways of writing mean one version: `1.0` and `1.0.0`."""
    try:
        return bool(order(listed) == version)
    except NotAVersionError:
        return False  # was compared as text


def _is_inside(held: Range, version: VersionKey, ecosystem: str) -> bool:
    """Evaluate one range. Raises `NotAVersionError`."""
    order = ORDERS[ecosystem]
    limits = [event.limit for event in held.events if event.limit is not None]
    if limits and not any(it == "*" or version < order(it) for it in limits):
        return False
    inside = False
    for place, change in sorted(_points(held, order)):
        if not place or version > place[0] or (version == place[0] and change != _LAST):
            inside = change == _BEGINS
    return inside


def _points(
    held: Range, order: Callable[[str], VersionKey]
) -> Iterator[tuple[tuple[VersionKey, ...], int]]:
    """Give where the range begins and ends; `()` is before all versions."""
    for event in held.events:
        if event.introduced is not None:
            yield (() if event.introduced == "0" else (order(event.introduced),)), _BEGINS
        if event.fixed is not None:
            yield (order(event.fixed),), _ENDS
        if event.last_affected is not None:
            yield (order(event.last_affected),), _LAST
