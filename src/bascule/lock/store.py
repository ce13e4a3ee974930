"""The store of unpacked trees, each found by its own digest.

```text
store/
  lock                  held while trees come and go
  sha256/DIGEST/        a tree: read-only, link count 1, nothing of it shared with a cache
  manifests/DIGEST      its manifest, by which it can be said which file differs
  downloads/            what package managers keep to be faster next time
```

A tree is whole or not there: it is made in a folder of its own, written to disk, and
renamed into place. What a killed process leaves begins with a dot, and the next one to add
or remove sweeps it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from bascule.audit.durable import sync_folder, write_durably
from bascule.lock.manifest import Difference
from bascule.lock.model import LockError, Tree
from bascule.lock.tree import TreeError, differences, measure, survey

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FRESH = ".new-"
_OLD = ".old-"
TOLD_DIFFERENCES = 5


class DriftedTreeError(LockError):
    """A tree in the store is not what its digest says."""

    def __init__(self, message: str, found: str, differences: list[Difference]) -> None:
        super().__init__(message)
        self.found = found
        """Digest of what lies there; empty where that cannot be measured."""
        self.differences = differences
        """Which files differ; empty where nobody can tell any more."""


class Store:
    """Trees below one folder, which is created 0700 when missing.

    Everything raises `LockError` for a digest that is none and for what the disk refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trees = root / "sha256"
        self._manifests = root / "manifests"
        self.downloads = root / "downloads"
        """For a package manager's cache: nothing of it is ever run from there."""

    def path(self, tree_sha256: str) -> Path:
        """Give where a tree lies, or would."""
        if _DIGEST.fullmatch(tree_sha256) is None:
            raise LockError(
                "is no digest of a tree: it must be 64 digits of lower-case hex"
            )
        return self._trees / tree_sha256

    def has(self, tree_sha256: str) -> bool:
        """Tell whether a tree is there; what it holds is for `verify` to say."""
        return self.path(tree_sha256).is_dir()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Path]:
        """Give an empty folder to make a tree in, for `add`; gone afterwards."""
        with self._alone():
            folder = Path(tempfile.mkdtemp(prefix=_FRESH, dir=self._trees))
            holder = _hold(folder)
        try:
            yield folder
        finally:
            erase(folder)
            os.close(holder)

    def add(self, folder: Path, *, locked: Tree | None = None) -> Tree:
        """Take a tree that was made in a folder from `fresh`, and give its digest.

        All of it is read-only and on disk on return. A whole tree of the same digest that
        is there already stays; one that drifted is replaced. Raises `TreeError` for what a
        tree must not hold, and `DriftedTreeError` for another tree than `locked`; the store
        is then as before.
        """
        if folder.parent != self._trees:
            raise LockError(f"`{folder}` is no folder of this store")
        with _disk_errors(self.root):
            _seal(folder)
        tree, manifest = survey(folder, sealed=True)
        if locked is not None and tree != locked:
            which = self._differences(locked.sha256, folder)
            told = _listed(which) or "which files differ is not known here"
            message = f"what was made is not the locked tree {locked.sha256[:12]}: {told}"
            raise DriftedTreeError(message, tree.sha256, which)
        # One sync of everything takes a twentieth of one for each of thousands of files. It
        # tells of no error, but then what lies there fails to verify.
        os.sync()
        place = self.path(tree.sha256)
        with self._alone():
            if place.exists() and _is_whole(place, tree):
                return tree
            write_durably(self._manifests / tree.sha256, manifest)
            sync_folder(self._manifests)
            if place.exists():
                place.rename(_unused(self._trees))
            folder.rename(place)
            sync_folder(self._trees)
            self._sweep()
        return tree

    def verify(self, tree: Tree) -> None:
        """Hash every file of a tree.

        Raises `DriftedTreeError`, which says what differs, unless it is whole and nobody
        can write it.
        """
        place = self.path(tree.sha256)
        if not place.is_dir():
            raise LockError(
                f"tree {tree.sha256[:12]} is not in the store: run `bascule install`"
            )
        try:
            found = measure(place, sealed=True)
        except TreeError as exc:
            raise DriftedTreeError(str(exc), "", self.differences(tree.sha256)) from exc
        if found != tree:
            which = self.differences(tree.sha256)
            raise DriftedTreeError(_told(place, which), found.sha256, which)

    def differences(self, tree_sha256: str) -> list[Difference]:
        """Tell which files of a tree differ; nothing where its manifest is lost."""
        return self._differences(tree_sha256, self.path(tree_sha256))

    def _differences(self, tree_sha256: str, folder: Path) -> list[Difference]:
        try:
            manifest = (self._manifests / tree_sha256).read_bytes()
            return differences(folder, manifest, tree_sha256)
        except (OSError, LockError):
            return []

    def remove_unused(self, kept: Iterable[str]) -> list[str]:
        """Remove downloads and all trees but those named; give the digests of these.

        A tree that a server still runs from must be among those kept.
        """
        keep = set(kept)
        removed = []
        with self._alone():
            for place in sorted(self._trees.iterdir()):
                if _DIGEST.fullmatch(place.name) and place.name not in keep:
                    place.rename(_unused(self._trees))
                    (self._manifests / place.name).unlink(missing_ok=True)
                    removed.append(place.name)
            self._sweep()
            erase(self.downloads)
        return removed

    def sweep(self) -> None:
        """Remove what killed processes left."""
        with self._alone():
            self._sweep()

    def _sweep(self) -> None:
        for left in self._trees.iterdir():
            # What is in use, or still written to by what a killed process had started, is
            # for the next one to sweep.
            with contextlib.suppress(OSError):
                if left.name.startswith(_FRESH):
                    os.close(_hold(left))
                if left.name.startswith((_FRESH, _OLD)):
                    erase(left)
        for left in self._manifests.glob("*.new"):
            left.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads out while names change."""
        with _disk_errors(self.root):
            for folder in (self.root, self._trees, self._manifests):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.root / "lock", flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise LockError(f"store `{root}`: {exc}") from exc


def _hold(folder: Path) -> int:
    """Mark a folder as in use until the descriptor is closed, if by a kill.

    Raises `BlockingIOError` when somebody else does.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unused(folder: Path) -> Path:
    """Make an empty folder with a name of its own, which a rename may replace."""
    return Path(tempfile.mkdtemp(prefix=_OLD, dir=folder))


def _is_whole(place: Path, tree: Tree) -> bool:
    try:
        return measure(place, sealed=True) == tree
    except TreeError:
        return False


def _seal(folder: Path) -> None:
    """Take all rights to write away; files keep whether they may be executed.

    Special bits stay, for the survey to refuse.
    """
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _seal(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            rights = 0o555 if mode & 0o111 else 0o444
            Path(entry.path).chmod(mode & ~0o777 | rights)
    folder.chmod(0o555)


def erase(folder: Path) -> None:
    """Remove a folder with all that is in it, whatever its rights; missing is fine."""
    if not folder.is_dir():
        return
    folder.chmod(0o700)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            erase(Path(entry.path))
        else:
            Path(entry.path).unlink()
    folder.rmdir()


def _told(place: Path, which: list[Difference]) -> str:
    if not which:
        return f"`{place}` is not what was installed, and its manifest is lost"
    return (
        f"`{place}` is not what was installed: {_listed(which)}; run `bascule install` to "
        "get it anew"
    )


def _listed(which: list[Difference]) -> str:
    parts = [f"`{it.path}` ({it.how})" for it in which[:TOLD_DIFFERENCES]]
    more = len(which) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
