"""Vulnerabilities and incidents of MCP software, as they were known when this was shipped.

For what no advisory was imported about. An imported advisory knows more, and newer things.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct

from bascule.lock.advisories import (
    Advisory,
    Affected,
    AffectedPackage,
    Event,
    PackageVersion,
    Range,
    concerns,
    normalised,
)

Layer = Literal["sdk-protocol", "client-host", "server", "incident"]

_REGISTRIES = ("npm", "PyPI")
_PACKAGE = re.compile(r"@?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9._-]+)?")


class Incident(Struct, frozen=True, array_like=True):
    """One vulnerability, or one thing that happened."""

    id: str
    """CVE; ours begin with `INC-`."""
    package: str | None
    """Name at its registry, or of the product."""
    ecosystem: str | None
    """As OSV names it; `application` for what is in no registry; None when not known."""
    affected: str | None
    """`>=1.0,<2.0`, alternatives parted by `||`; None when not recorded."""
    fixed: str | None
    cause: str
    layer: Layer
    date: str | None
    source: str
    confidence: Literal["source", "secondary", "background"]
    caught_by: tuple[str, ...]
    """Which checks would have noticed."""

    @property
    def is_malicious(self) -> bool:
        """The releases themselves are the harm, not a mistake in them."""
        return self.layer == "incident"


@lru_cache(maxsize=1)
def incidents() -> tuple[Incident, ...]:
    """Read the shipped table."""
    data = files("bascule.scan.incidents").joinpath("table.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[Incident, ...])


def about(ecosystem: str, name: str) -> tuple[Incident, ...]:
    """Give what is known of a package; `ecosystem` is `npm` or `PyPI`."""
    return _by_package().get((ecosystem, normalised(ecosystem, name)), ())


def affects(incident: Incident, ecosystem: str, name: str, version: str) -> bool | None:
    """Tell whether a version is affected; None when the table cannot tell."""
    if incident.affected is None:
        return None
    package = PackageVersion(ecosystem, normalised(ecosystem, name), version)
    answer = concerns(_advisory(incident, ecosystem), package)
    return None if answer == "undecided" else answer == "affected"


@lru_cache(maxsize=1)
def _by_package() -> Mapping[tuple[str, str], tuple[Incident, ...]]:
    found: dict[tuple[str, str], tuple[Incident, ...]] = {}
    for incident in incidents():
        for ecosystem in _ecosystems(incident):
            key = (ecosystem, normalised(ecosystem, incident.package or ""))
            found[key] = (*found.get(key, ()), incident)
    return found


def _ecosystems(incident: Incident) -> tuple[str, ...]:
    """Give the registries where the package may be: both, when that is not recorded."""
    if incident.package is None or not _PACKAGE.fullmatch(incident.package):
        return ()
    if incident.ecosystem is None:
        return _REGISTRIES
    return (incident.ecosystem,) if incident.ecosystem in _REGISTRIES else ()


def _advisory(incident: Incident, ecosystem: str) -> Advisory:
    ranges = tuple(_ranges(incident.affected or ""))
    versions = tuple(re.findall(r"==([^\s,|]+)", incident.affected or ""))
    named = AffectedPackage(ecosystem, incident.package or "")
    return Advisory(incident.id, "", affected=(Affected(named, ranges, versions),))


def _ranges(affected: str) -> Iterator[Range]:
    for alternative in affected.split("||"):
        found = dict(re.findall(r"(<=|>=|<)([^\s,|<>=]+)", alternative))
        if not found:
            continue
        events = [Event(introduced=found.get(">=", "0"))]
        if "<" in found:
            events.append(Event(fixed=found["<"]))
        elif "<=" in found:
            events.append(Event(last_affected=found["<="]))
        yield Range("ECOSYSTEM", tuple(events))
