"""The age that a version must have before it is locked.

Most malicious versions are found and taken down within days of their publication.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DAY_SECONDS = 24 * 60 * 60

Fixes = Callable[[str], bool]
"""Tells whether a version, by its purl, fixes a known advisory."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Seconds since publication."""

    root_seconds: int = 7 * DAY_SECONDS
    """Of the package that was asked for."""
    transitive_seconds: int = 14 * DAY_SECONDS
    """Of all that it needs."""


NO_COOLDOWN = Cooldown(0, 0)
