"""What was decided before under the same snapshot, within bounds."""

from __future__ import annotations

from bascule.decision.facts import Decision, Principal

MAX_NAMES = 32_768
"""Decisions kept in all."""
MAX_NAMES_EACH = 4_096
"""Decisions kept for one principal, connector and method."""
MAX_NAME_LENGTH = 512
"""Longer names are decided anew each time: a caller chooses them, up to a body's size."""

Key = tuple[Principal, str, str, str]
"""Principal, connector, method, kind: all that a decision reads beside name and time."""


class Memo:
    """Decisions by key and name. When full, the oldest goes."""

    def __init__(self) -> None:
        self._names: dict[Key, dict[str, Decision]] = {}
        self._size = 0

    def names(self, key: Key) -> dict[str, Decision] | None:
        """Give what is known under a key; not to be changed."""
        return self._names.get(key)

    def keep(self, key: Key, name: str, decision: Decision) -> None:
        """Remember a decision that no time changes."""
        if len(name) > MAX_NAME_LENGTH:
            return
        known = self._names.setdefault(key, {})
        if name in known:
            return
        if len(known) >= MAX_NAMES_EACH:
            del known[next(iter(known))]
            self._size -= 1
        known[name] = decision
        self._size += 1
        if self._size > MAX_NAMES:
            self._size -= len(self._names.pop(next(iter(self._names))))
