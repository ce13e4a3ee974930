"""Names that look like a well-known package's, as of somebody who waits for a slip.

Compared with a shipped list of several hundred well-known packages. Each warning says what
it resembles and how; nothing is refused for its name alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Literal, TypeVar

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

_Key = TypeVar("_Key")
Ecosystem = Literal["pypi", "npm"]

_AFFIXES = frozenset(
    {"mcp", "server", "modelcontextprotocol", "py", "python", "js", "node", "ts"}
)
"""Words that a copy adds, leaves out or moves."""
_GENERIC = frozenset({"mcp-server", "mcp-client", "mcp-core", "mcp-sdk", "mcp-cli"})
"""Names that many scopes have."""
_LONG = 9
"""Letters beside the affixes from which on two slips count, and below which one does."""
_SHORTEST = 5
"""Characters; names are alike by chance below."""
_LOOK = (("rn", "m"), ("vv", "w"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s"))
"""Letters that look alike in many typefaces."""


@dataclass(frozen=True)
class WellKnown:
    """The well-known packages of both ecosystems, by what they are compared by."""

    names: Mapping[Ecosystem, frozenset[str]]

    def warnings(self, ecosystem: Ecosystem, name: str) -> tuple[str, ...]:
        """Say which well-known package a name resembles, one sentence for each way.

        `name` is as the registry spells it; nothing is said of a well-known one.
        """
        if name in self.names[ecosystem]:
            return ()
        other: Ecosystem = "npm" if ecosystem == "pypi" else "pypi"
        found = {
            "looks like": self._same_look(ecosystem, name),
            "is a slip of the finger away from": self._near(ecosystem, name),
            "has the words of": self._same_words(ecosystem, name),
            "has another scope than": self._other_scope(ecosystem, name),
        }
        told = {
            each: f"`{name}` {how} the well-known `{each}`"
            for how, names in reversed(found.items())
            for each in names
        }
        if name in self.names[other]:
            told[name] = f"`{name}` is well known on {other}, and is another package here"
        return tuple(sorted(told.values()))

    def _same_look(self, ecosystem: Ecosystem, name: str) -> list[str]:
        return self._by_look[ecosystem].get(_look(name), [])

    def _near(self, ecosystem: Ecosystem, name: str) -> list[str]:
        own = _plain(name)
        if len(own) < _SHORTEST:
            return []
        letters = sum(len(word) for word in _words(name))
        near = process.extract(
            own,
            self._by_plain[ecosystem],
            scorer=DamerauLevenshtein.distance,
            score_cutoff=2 if letters >= _LONG else 1,
            limit=None,
        )
        return [known for plain, _, known in near if len(plain) >= _SHORTEST]

    def _same_words(self, ecosystem: Ecosystem, name: str) -> list[str]:
        """Give servers that have the same words, whatever their order and affixes."""
        return self._by_words[ecosystem].get(_words(name), []) if _is_server(name) else []

    def _other_scope(self, ecosystem: Ecosystem, name: str) -> list[str]:
        base = name.rpartition("/")[2]
        is_generic = base in _GENERIC or "-" not in base
        return [] if is_generic else self._by_base[ecosystem].get(base, [])

    @cached_property
    def _by_plain(self) -> dict[Ecosystem, dict[str, str]]:
        return {
            each: {name: _plain(name) for name in names}
            for each, names in self.names.items()
        }

    @cached_property
    def _by_look(self) -> dict[Ecosystem, dict[str, list[str]]]:
        return {
            each: _grouped((_look(it), it) for it in names)
            for each, names in self.names.items()
        }

    @cached_property
    def _by_words(self) -> dict[Ecosystem, dict[tuple[str, ...], list[str]]]:
        found: dict[Ecosystem, dict[tuple[str, ...], list[str]]] = {}
        for each, names in self.names.items():
            pairs = ((_words(name), name) for name in names if _is_server(name))
            found[each] = _grouped((words, name) for words, name in pairs if words)
        return found

    @cached_property
    def _by_base(self) -> dict[Ecosystem, dict[str, list[str]]]:
        return {
            each: _grouped((it.rpartition("/")[2], it) for it in names if it[0] == "@")
            for each, names in self.names.items()
        }


@lru_cache(maxsize=1)
def well_known() -> WellKnown:
    """Read the shipped list."""
    text = files("bascule.lock").joinpath("well_known.json").read_text(encoding="utf-8")
    listed = json.loads(text)
    return WellKnown({"pypi": frozenset(listed["pypi"]), "npm": frozenset(listed["npm"])})


def _grouped(pairs: Iterable[tuple[_Key, str]]) -> dict[_Key, list[str]]:
    found: dict[_Key, list[str]] = {}
    for key, name in sorted(pairs, key=lambda pair: pair[1]):
        found.setdefault(key, []).append(name)
    return found


def _plain(name: str) -> str:
    """Give a name without what registries and readers overlook."""
    return re.sub(r"[-_.@/]+", "-", name.lower()).strip("-")


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(set(_plain(name).split("-")) - _AFFIXES))


def _is_server(name: str) -> bool:
    return not {"mcp", "modelcontextprotocol"}.isdisjoint(_plain(name).split("-"))


def _look(name: str) -> str:
    """Give the same text for names that look the same."""
    plain = _plain(name)
    for drawn, seen in _LOOK:
        plain = plain.replace(drawn, seen)
    return plain.replace("-", "")
