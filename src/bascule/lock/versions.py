"""The order of versions, as each ecosystem has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from packaging.version import InvalidVersion, Version

from bascule.errors import BasculeError

_SEMVER = re.compile(
    r"[v=]*(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_LONGEST = 256
"""Characters of a version; registries allow no longer ones."""

VersionKey = Any
"""Orders the versions of one ecosystem, and of no other."""


class NotAVersionError(BasculeError):
    """What stands there has no place in the ecosystem's order."""


def semver_key(version: str) -> VersionKey:
    """Give the precedence of a version of npm (Semantic Versioning 2.0.0, §11).

    Raises `NotAVersionError`.
    """
    found = _SEMVER.fullmatch(version.strip()) if len(version) <= _LONGEST else None
    if found is None:
        raise NotAVersionError(f"`{version[:80]}` is no semantic version")
    numbers = tuple(int(part) for part in found.groups()[:3])
    before = found.group(4)
    if before is None:
        return (numbers, (1,))  # a release comes after all that lead up to it
    return (numbers, (0, tuple(_identifier_key(part) for part in before.split("."))))


def _identifier_key(part: str) -> tuple[int, int, str]:
    """Order numbers before words, numbers by value and words by their characters."""
    return (0, int(part), "") if part.isdecimal() else (1, 0, part)


def pep440_key(version: str) -> VersionKey:
    """Give the place of a version of PyPI (PEP 440). Raises `NotAVersionError`."""
    try:
        if len(version) > _LONGEST:
            raise InvalidVersion
        return Version(version)
    except InvalidVersion as exc:
        raise NotAVersionError(f"`{version[:80]}` is no version of PyPI") from exc


ORDERS: Mapping[str, Callable[[str], VersionKey]] = {
    "PyPI": lru_cache(maxsize=65_536)(pep440_key),
    "npm": lru_cache(maxsize=65_536)(semver_key),
}
"""By the name that the OSV schema has for the ecosystem."""
