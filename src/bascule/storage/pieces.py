"""Long lists in pieces that one statement can take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SIZE = 500


def pieces(names: Iterable[str]) -> Iterator[list[str]]:
    """Give names in order, some at a time."""
    listed = sorted(names)
    for start in range(0, len(listed), SIZE):
        yield listed[start : start + SIZE]
