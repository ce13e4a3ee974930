"""Groups of names: which toolsets, or labels, a tool, prompt or resource is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bascule.decision.entries import Entry, TargetKind


class Toolsets:
    """All groups of one sort, indexed by what their entries name."""

    def __init__(self, toolsets: Mapping[str, Sequence[Entry]]) -> None:
        self._exact: dict[tuple[str, str, str], list[str]] = {}
        self._globs: dict[str, list[tuple[Entry, str]]] = {}
        for toolset, entries in sorted(toolsets.items()):
            for entry in entries:
                if entry.kind is None or entry.is_glob:
                    self._globs.setdefault(entry.connector, []).append((entry, toolset))
                else:
                    key = (entry.connector, entry.kind, entry.pattern)
                    self._exact.setdefault(key, []).append(toolset)

    def of(self, connector: str, kind: TargetKind, name: str) -> set[str]:
        """Name the groups that this is in."""
        inside = set(self._exact.get((connector, kind, name), ()))
        for entry, toolset in self._globs.get(connector, ()):
            if entry.matches(connector, kind, name):
                inside.add(toolset)
        return inside
