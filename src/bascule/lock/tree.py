"""The digest of a tree of files: which bytes lie where, and what may be executed.

What reaches out of a tree, or is not the same on every system, is refused: links out of the
tree, files with other names elsewhere (hard links), devices, sockets, pipes, set-user-ID
bits, names that are not UTF-8, hold control characters or differ from another only by case
or by the way in which Unicode composes characters. Times, owners and other permission bits
are no part of the digest.

Nothing is looked up by its path: folders are walked by descriptor, links never followed,
and a file that changes while it is read is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NoReturn

from bascule.lock.manifest import (
    Difference,
    Item,
    compare,
    read_manifest,
    summary,
    write_manifest,
)
from bascule.lock.model import LockError, Tree

MAX_DEPTH = 100
"""Folders in folders; each keeps a descriptor open while it is walked."""
MAX_ITEMS = 500_000
SMALL_BYTES = 1 << 20
"""Files up to this size are read at once, others in parts."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = _OPEN | os.O_NONBLOCK | os.O_NOCTTY
_OPEN_FOLDER = _OPEN | os.O_DIRECTORY
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_WRITE_BITS = 0o222


class TreeError(LockError):
    """A tree holds what a tree must not hold; the message names it."""


def measure(folder: Path, *, sealed: bool = False) -> Tree:
    """Hash every file of a tree.

    With `sealed`, what anybody may write is refused too, and what belongs to another user
    than root or the one who looks. Raises `TreeError`, also for what cannot be read.
    """
    return survey(folder, sealed=sealed)[0]


def survey(folder: Path, *, sealed: bool = False) -> tuple[Tree, bytes]:
    """Hash every file of a tree; give its manifest as well. Raises as `measure` does."""
    items = _items(folder, sealed)
    manifest = write_manifest(items)
    return summary(manifest, items), manifest


def differences(folder: Path, manifest: bytes, tree_sha256: str) -> list[Difference]:
    """Tell which files of a tree are not as its manifest says.

    Raises `TreeError` as `measure` does, and `LockError` for what is not the manifest of
    that digest.
    """
    if hashlib.sha256(manifest).hexdigest() != tree_sha256:
        raise LockError("manifest of a tree: it belongs to another, or was changed")
    return compare(read_manifest(manifest), _items(folder, sealed=False))


def _items(folder: Path, sealed: bool) -> list[Item]:
    walk = _Walk(sealed)
    try:
        with _opened(os.open(folder, _OPEN_FOLDER)) as descriptor:
            walk.look_into(descriptor, b"")
    except OSError as exc:
        where = f"`{shown(walk.at)}` in `{folder}`" if walk.at else f"`{folder}`"
        raise TreeError(f"cannot read {where}: {exc.strerror}") from exc
    except TreeError as exc:
        raise TreeError(f"`{folder}`: {exc}") from exc.__cause__
    return walk.items


@contextlib.contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Walk:
    """One pass over a tree."""

    def __init__(self, sealed: bool) -> None:
        self.items: list[Item] = []
        self.at = b""
        """What is looked at, for errors."""
        self._count = 0
        self._sealed = sealed
        self._user = os.geteuid()

    def look_into(self, folder: int, prefix: bytes) -> None:
        """Measure all that lies in an open folder."""
        before = os.fstat(folder)
        self._check_status(before)
        with os.scandir(folder) as entries:
            found = [(os.fsencode(entry.name), entry) for entry in entries]
        check_names([name for name, _ in found])
        self._count += len(found)
        if self._count > MAX_ITEMS:
            raise TreeError(f"has more than {MAX_ITEMS} files")
        for name, entry in found:
            self.at = path = prefix + name
            if entry.is_symlink():
                self._link(folder, name, path)
            elif entry.is_file(follow_symlinks=False):
                self._file(folder, name, path)
            elif entry.is_dir(follow_symlinks=False):
                self._folder(folder, name, path)
            else:
                self._refuse("is neither file, folder nor link")
        self.at = prefix
        refuse_changed(before, os.fstat(folder), prefix)

    def _folder(self, folder: int, name: bytes, path: bytes) -> None:
        if path.count(b"/") >= MAX_DEPTH:
            raise TreeError(f"has folders in folders more than {MAX_DEPTH} deep")
        self.items.append(Item(path, "d", "-", 0))
        with _opened(os.open(name, _OPEN_FOLDER, dir_fd=folder)) as descriptor:
            self.look_into(descriptor, path + b"/")

    def _link(self, folder: int, name: bytes, path: bytes) -> None:
        target = os.readlink(name, dir_fd=folder)
        check_target(path, target)
        digest = hashlib.sha256(target).hexdigest()
        self.items.append(Item(path, "l", digest, len(target)))

    def _file(self, folder: int, name: bytes, path: bytes) -> None:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=folder)
        try:
            before = os.fstat(descriptor)
            self._check_status(before)
            digest = _digest(descriptor, before.st_size)
            refuse_changed(before, os.fstat(descriptor), path)
        finally:
            os.close(descriptor)
        kind: Literal["f", "x"] = "x" if before.st_mode & 0o111 else "f"
        self.items.append(Item(path, kind, digest, before.st_size))

    def _check_status(self, status: os.stat_result) -> None:
        mode = status.st_mode
        if not stat.S_ISDIR(mode):
            if not stat.S_ISREG(mode):
                self._refuse("is neither file, folder nor link")
            if status.st_nlink != 1:
                self._refuse("has another name elsewhere (a hard link): copy it")
            if mode & _SPECIAL_BITS:
                self._refuse("has a set-user-ID, set-group-ID or sticky bit")
        if self._sealed:
            if mode & _WRITE_BITS:
                self._refuse("can be written: install it anew")
            if status.st_uid not in {0, self._user}:
                self._refuse("belongs to another user: install it anew")

    def _refuse(self, why: str) -> NoReturn:
        raise TreeError(f"`{shown(self.at) or '.'}` {why}")


def _digest(descriptor: int, size: int) -> str:
    if size > SMALL_BYTES:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    data = os.read(descriptor, size + 1)
    if len(data) != size:
        raise TreeError("changed while it was read: is something still writing there?")
    return hashlib.sha256(data).hexdigest()


def refuse_changed(before: os.stat_result, after: os.stat_result, path: bytes) -> None:
    """Raise `TreeError` when a file or folder was changed between two looks at it."""
    if (
        before.st_mtime_ns != after.st_mtime_ns
        or before.st_ctime_ns != after.st_ctime_ns
        or before.st_size != after.st_size
    ):
        raise TreeError(
            f"`{shown(path) or '.'}` changed while it was read: is something still "
            "writing there?"
        )


def check_names(names: list[bytes]) -> None:
    """Refuse names of one folder that do not mean the same on every system.

    Raises `TreeError`.
    """
    seen: dict[str, bytes] = {}
    for name in names:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            raise TreeError(f"the name `{shown(name)}` is not UTF-8") from None
        if not text.isprintable() and any(unicodedata.category(it) == "Cc" for it in text):
            raise TreeError(f"the name `{shown(name)}` holds a control character")
        if not text.isascii():
            text = unicodedata.normalize("NFC", text).casefold()
        other = seen.setdefault(text.lower(), name)
        if other is not name:
            raise TreeError(
                f"the names `{shown(other)}` and `{shown(name)}` are one on some systems"
            )


def check_target(path: bytes, target: bytes) -> None:
    """Refuse a link that is absolute or may lead out of the tree. Raises `TreeError`.

    `..` is allowed at the front alone: after a name that may be a link itself, nobody knows
    where it leads.
    """
    parts = target.split(b"/")
    up = 0
    while up < len(parts) and parts[up] == b"..":
        up += 1
    if target.startswith(b"/"):
        raise TreeError(f"`{shown(path)}` is a link to an absolute path")
    if up > path.count(b"/") or b".." in parts[up:]:
        raise TreeError(f"`{shown(path)}` is a link that may lead out of the tree")


def shown(path: bytes) -> str:
    """Write a path for people; bytes that are no text as escapes."""
    return path.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")
