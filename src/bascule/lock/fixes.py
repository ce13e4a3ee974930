"""Which versions fix an advisory, so that a cooldown does not hold them up."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bascule.lock.advisories import (
    Advisory,
    PackageVersion,
    concerns,
    fixed_in,
    package_version,
)
from bascule.lock.cooldown import Fixes
from bascule.lock.versions import ORDERS, NotAVersionError

About = Callable[[PackageVersion], Collection[Advisory]]
"""Gives the advisories that are known about a package, whatever its version."""


def fixes_from(about: About) -> Fixes:
    """Give what advisories say about versions."""

    def is_affected(purl: str) -> bool:
        package = package_version(purl)
        return package is not None and _is_affected(package, about(package))

    def is_fix(purl: str) -> bool:
        package = package_version(purl)
        if package is None or _is_affected(package, known := about(package)):
            return False
        # Of what is malware no version is a fix: who publishes it decides what it names.
        named = (it for it in known if it.withdrawn is None and not it.is_malware)
        return any(_is_named(package, advisory) for advisory in named)

    return Fixes(is_affected, is_fix)


def _is_affected(package: PackageVersion, known: Collection[Advisory]) -> bool:
    return any(concerns(advisory, package) != "not_affected" for advisory in known)


def _is_named(package: PackageVersion, advisory: Advisory) -> bool:
    """Tell whether an advisory names the version as fixed, however it spells it."""
    order = ORDERS[package.ecosystem]
    try:
        own = order(package.version)
        return any(order(version) == own for version in fixed_in(advisory, package))
    except NotAVersionError:
        return False
