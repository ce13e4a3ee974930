"""The manifest of a tree: one line for each file, folder and link, and its digest.

```text
bascule-tree 1
d - 0 mcp
f 5f0c…e1 1842 mcp/server.py
l 9b1d…07 11 mcp/latest
x c3aa…90 67 mcp/run
```

Kind, SHA-256 of the content (of a link: of its target), size in bytes, path. Kinds: `f` a
file, `x` a file that may be executed, `d` a folder, `l` a link. Lines are sorted by the
bytes of their paths; no path has a line end. The SHA-256 of the whole text is the digest of
the tree, so that a manifest that was changed no longer belongs to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from bascule.lock.model import LockError, Tree

HEADER = b"bascule-tree 1\n"
_LINE = re.compile(rb"([fxl]) ([0-9a-f]{64}) (0|[1-9][0-9]{0,18}) (.+)|(d) - 0 (.+)")


class Item(NamedTuple):
    """One line."""

    path: bytes
    """Relative, parts joined by `/`."""
    kind: Literal["f", "x", "d", "l"]
    sha256: str
    """Lower-case hex; `-` for a folder."""
    size: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that is not as it was measured."""

    path: str
    how: Literal["added", "removed", "content", "kind"]
    """`kind` includes the executable bit."""


def write_manifest(items: Iterable[Item]) -> bytes:
    """Write a manifest; the order of the items does not matter."""
    lines = [b"%b %b %d %b\n" % _fields(item) for item in sorted(items)]
    return HEADER + b"".join(lines)


def _fields(item: Item) -> tuple[bytes, bytes, int, bytes]:
    return item.kind.encode(), item.sha256.encode(), item.size, item.path


def read_manifest(text: bytes) -> list[Item]:
    """Read a manifest. Raises `LockError`, and nothing else, for what is none."""
    if not text.startswith(HEADER) or not text.endswith(b"\n"):
        raise LockError("is no manifest of a tree in a format known here")
    lines = text[len(HEADER) :].split(b"\n")[:-1]
    items = [_read_line(line, number) for number, line in enumerate(lines, 2)]
    if any(before.path >= after.path for before, after in pairwise(items)):
        raise LockError("manifest of a tree: its lines are not sorted")
    return items


def _read_line(line: bytes, number: int) -> Item:
    found = _LINE.fullmatch(line)
    if found is None:
        raise LockError(f"manifest of a tree: line {number} is not understood")
    if found[5]:
        return Item(found[6], "d", "-", 0)
    kind: Literal["f", "x", "l"] = found[1].decode()  # type: ignore[assignment]
    return Item(found[4], kind, found[2].decode(), int(found[3]))


def summary(manifest: bytes, items: Iterable[Item]) -> Tree:
    """Give digest, number of files (links included) and bytes in files of a tree."""
    files = [item for item in items if item.kind != "d"]
    size = sum(item.size for item in files if item.kind != "l")
    return Tree(hashlib.sha256(manifest).hexdigest(), len(files), size)


def compare(before: Iterable[Item], after: Iterable[Item]) -> list[Difference]:
    """Tell what differs between two trees, by path."""
    old = {item.path: item for item in before}
    new = {item.path: item for item in after}
    found = []
    for path in sorted(old.keys() | new.keys()):
        was, is_now = old.get(path), new.get(path)
        if was != is_now:
            found.append(Difference(path.decode("utf-8", "replace"), _how(was, is_now)))
    return found


def _how(
    was: Item | None, is_now: Item | None
) -> Literal["added", "removed", "content", "kind"]:
    if was is None:
        return "added"
    if is_now is None:
        return "removed"
    return "content" if was.kind == is_now.kind else "kind"
