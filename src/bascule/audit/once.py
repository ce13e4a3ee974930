"""What counts once: it is noted in the commit that makes its record durable."""

from __future__ import annotations

from dataclasses import dataclass

KEEP_SECONDS = 360
"""How long it is remembered, from its `since`; whoever takes it must refuse it before."""


@dataclass(slots=True)
class Once:
    """Something that may be shown a single time, whatever process it is shown to."""

    digest: bytes
    """SHA-256 that names it."""
    since: int
    """Unix time that it has itself: the same each time it is shown."""
    spent: bool = False
    """It was shown before; known once the record that came with it was refused for that."""
