"""What differs between two entries of a connector, in the order in which it is reviewed.

Only what is different is told, and all of it: there is nothing to tell when, and only when,
the two entries have the same digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field

from bascule.lock.changes import DefinitionChange, compare_all, rank
from bascule.lock.model import Entry, Package, entry_digest
from bascule.lock.package_changes import PackageChange, compare_packages
from bascule.lock.schema_changes import same
from bascule.lock.surface import FORMAT, Context, Document

_LAUNCH = ("source", "kind", "launch", "sandbox", "scripts_allowed")
_CODE = ("native_lock", "builds")
_ACCESS = ("access", "findings")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    entry: Entry | None
    """None where there is none: then all of the other is new."""
    document: Document | None = None
    """Of its surface; None when it has none, or nobody has it any more."""

    @property
    def digest(self) -> str:
        """Of the entry; empty without one."""
        return "" if self.entry is None else entry_digest(self.entry)


class Fact(Struct, frozen=True, omit_defaults=True):
    """One value that differs; UNSET where there is none."""

    what: str
    """Path in the entry: `launch.argv`."""
    before: Any = UNSET
    after: Any = UNSET


class EntryDiff(Struct, frozen=True):
    """All that differs, section by section."""

    launch: list[Fact] = field(default_factory=list)
    """How it is started, what it may touch and reach, which secrets it gets."""
    definitions: list[DefinitionChange] = field(default_factory=list)
    surface: list[Fact] = field(default_factory=list)
    """What it says of itself, instructions, and how it was captured."""
    root: PackageChange | None = None
    packages: list[PackageChange] = field(default_factory=list)
    """Without the root."""
    code: list[Fact] = field(default_factory=list)
    """Interpreters, trees, the ecosystem's own lock."""
    access: list[Fact] = field(default_factory=list)
    """Owner, boundary, credential, toolsets, accepted advisories."""

    @property
    def classes(self) -> list[str]:
        """What has changed, in a few words, in the order of the sections."""
        places = {each.change for it in self.definitions for each in it.changes}
        changes = sorted({it.change for it in self.definitions} | places, key=rank)
        named = [
            ("launch", self.launch),
            *((change, True) for change in changes),
            ("surface", self.surface),
            ("root", self.root),
            ("packages", self.packages),
            ("code", self.code),
            ("access", self.access),
        ]
        return [name for name, found in named if found]


def compare_entries(before: Side, after: Side) -> EntryDiff:
    """Compare two entries."""
    old, new = _tree(before.entry), _tree(after.entry)
    root, packages, rest = _packages(before.entry, after.entry)
    definitions, surface = _surfaces(before, after)
    if not (definitions or surface):
        surface = _sections(("surface",), old, new)
    return EntryDiff(
        launch=_sections(_LAUNCH, old, new),
        definitions=definitions,
        surface=surface,
        root=root,
        packages=packages,
        code=[*rest, *_sections(_CODE, old, new)],
        access=_sections(_ACCESS, old, new),
    )


def facts(what: str, before: Any, after: Any) -> Iterator[Fact]:
    """Give the values that differ below a path."""
    if same(before, after):
        return
    old = before if isinstance(before, dict) else None
    new = after if isinstance(after, dict) else None
    if (old is None and before is not UNSET) or (new is None and after is not UNSET):
        yield Fact(what, before, after)
        return
    keys = sorted((old or {}).keys() | (new or {}).keys())
    if not keys:
        yield Fact(what, before, after)
    for key in keys:
        yield from facts(
            f"{what}.{key}", (old or {}).get(key, UNSET), (new or {}).get(key, UNSET)
        )


def _tree(value: Entry | Document | None) -> dict[str, Any]:
    """Give a struct as JSON has it, with lists in the place of tuples."""
    tree: dict[str, Any] = {}
    return tree if value is None else msgspec.json.decode(msgspec.json.encode(value))


def _sections(
    names: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Fact]:
    return [
        fact
        for name in names
        for fact in facts(name, before.get(name, UNSET), after.get(name, UNSET))
    ]


def _packages(
    before: Entry | None, after: Entry | None
) -> tuple[PackageChange | None, list[PackageChange], list[Fact]]:
    """Compare the packages: the root, all others, and what no package of them says."""
    old: tuple[Package, ...] = () if before is None else before.packages
    new: tuple[Package, ...] = () if after is None else after.packages
    old_root = "" if before is None else before.root
    new_root = "" if after is None else after.root
    found = compare_packages(old, new)
    roots = {old_root.rpartition("@")[0], new_root.rpartition("@")[0]}
    root = next((it for it in found if it.name in roots), None)
    others = [it for it in found if it is not root]
    rest: list[Fact] = []
    if old_root != new_root and root is None:
        rest.append(Fact("root", old_root or UNSET, new_root or UNSET))
    if not found and old != new:
        rest.append(Fact("packages", "in another order"))
    return root, others, rest


def _surfaces(before: Side, after: Side) -> tuple[list[DefinitionChange], list[Fact]]:
    """Compare the definitions themselves; nothing where those of one side are lost.

    Then digests are all that can be compared.
    """
    old, new = _document(before), _document(after)
    if old is None or new is None:
        return [], []
    definitions = [
        *compare_all("tools", old.tools, new.tools),
        *compare_all("prompts", old.prompts, new.prompts),
        *compare_all("resourceTemplates", old.resource_templates, new.resource_templates),
    ]
    one, other = _tree(old), _tree(new)
    told = [*_sections(("instructions", "server", "refused", "context"), one, other)]
    backends = [
        UNSET if it.entry is None or it.entry.surface is None else it.entry.surface.seen_by
        for it in (before, after)
    ]
    told += facts("seen_by", *backends)
    return sorted(definitions, key=lambda it: rank(it.change)), told


def _document(side: Side) -> Document | None:
    if side.entry is None or side.entry.surface is None:
        return _NOTHING
    return side.document


_NOTHING = Document(format=FORMAT, context=Context())
