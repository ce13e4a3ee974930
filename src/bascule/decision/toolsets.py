"""Which toolsets a tool, prompt or resource is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bascule.decision.entries import Entry, TargetKind
from bascule.decision.model import Target, target_of


class Toolsets:
    """All toolsets, indexed by what their entries name."""

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

    def target(self, connector: str, kind: TargetKind, name: str) -> Target:
        """Make a target that stands in all its toolsets."""
        inside = set(self._exact.get((connector, kind, name), ()))
        for entry, toolset in self._globs.get(connector, ()):
            if entry.matches(connector, kind, name):
                inside.add(toolset)
        return target_of(connector, kind, name, inside)
