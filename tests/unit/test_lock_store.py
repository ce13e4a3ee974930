"""The store of trees: whole or not there, read-only, and seen when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bascule.lock import store as stores
from bascule.lock.manifest import Difference
from bascule.lock.model import LockError, Tree
from bascule.lock.store import DriftedTreeError, Store
from bascule.lock.tree import TreeError
from supply_chain import tampering


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fill(folder: Path, text: str = "print('hello')\n") -> None:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "server.py").write_text(text)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o775)
    (folder / "latest").symlink_to("pkg/server.py")


def added(store: Store, text: str = "print('hello')\n") -> Tree:
    with store.fresh() as folder:
        fill(folder, text)
        return store.add(folder)


def names(store: Store) -> set[str]:
    return {path.name for path in (store.root / "sha256").iterdir()}


def test_a_tree_is_found_by_its_digest(store: Store) -> None:
    tree = added(store)
    assert store.has(tree.sha256)
    assert (store.path(tree.sha256) / "latest").read_text() == "print('hello')\n"
    store.verify(tree)
    assert names(store) == {tree.sha256}


def test_nobody_may_write_in_a_tree(store: Store) -> None:
    tree = added(store)
    place = store.path(tree.sha256)
    modes = {
        str(path.relative_to(place)): path.lstat().st_mode & 0o7777
        for path in (place, *place.rglob("*"))
        if not path.is_symlink()
    }
    assert modes == {".": 0o555, "pkg": 0o555, "pkg/server.py": 0o444, "run": 0o555}
    assert all(path.lstat().st_nlink == 1 for path in place.rglob("*") if not path.is_dir())


def test_the_store_is_for_its_owner_alone(store: Store) -> None:
    added(store)
    assert store.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("digest", ["", "..", "a" * 63, "A" * 64, "a" * 64 + "/.."])
def test_what_is_no_digest_names_no_path(store: Store, digest: str) -> None:
    with pytest.raises(LockError, match="no digest"):
        store.path(digest)


def test_a_tree_that_is_not_there_fails_to_verify(store: Store) -> None:
    with pytest.raises(LockError, match="bascule install"):
        store.verify(Tree("a" * 64, 1, 1))


def test_a_changed_byte_is_seen_and_named(store: Store) -> None:
    tree = added(store)
    path = store.path(tree.sha256) / "pkg" / "server.py"
    path.chmod(0o644)
    path.write_text("print('hellp')\n")
    path.chmod(0o444)
    with pytest.raises(DriftedTreeError, match=r"`pkg/server.py` \(content\)") as drift:
        store.verify(tree)
    assert drift.value.differences == [Difference("pkg/server.py", "content")]
    assert drift.value.found not in {"", tree.sha256}


def test_what_a_program_wrote_in_its_own_tree_as_root_is_seen(store: Store) -> None:
    """Rights do not stop root; the digest tells."""
    tree = added(store)
    place = store.path(tree.sha256)
    program = "import pathlib; pathlib.Path('pkg/__pycache__').mkdir()"
    with tampering(place / "pkg"):
        subprocess.run([sys.executable, "-c", program], cwd=place, check=True)
    (place / "pkg" / "__pycache__").chmod(0o555)
    with pytest.raises(DriftedTreeError, match=r"`pkg/__pycache__` \(added\)"):
        store.verify(tree)


@pytest.mark.parametrize("mode", [0o644, 0o464, 0o446])
def test_a_tree_that_somebody_may_write_does_not_verify(store: Store, mode: int) -> None:
    tree = added(store)
    (store.path(tree.sha256) / "pkg" / "server.py").chmod(mode)
    with pytest.raises(DriftedTreeError, match="can be written"):
        store.verify(tree)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_tree_of_another_user_does_not_verify(store: Store) -> None:
    tree = added(store)
    os.chown(store.path(tree.sha256) / "pkg" / "server.py", 12345, -1)
    with pytest.raises(DriftedTreeError, match="another user"):
        store.verify(tree)


@pytest.mark.parametrize("other", [Tree("", 3, 25), Tree("", 2, 24)])
def test_numbers_that_do_not_belong_to_the_digest_do_not_verify(
    store: Store, other: Tree
) -> None:
    tree = added(store)
    with pytest.raises(DriftedTreeError):
        store.verify(Tree(tree.sha256, other.files, other.bytes + 1))


def test_drift_is_seen_without_a_manifest_and_with_a_forged_one(store: Store) -> None:
    tree = added(store)
    with tampering(store.path(tree.sha256)) as place:
        (place / "run").unlink()
    manifest = store.root / "manifests" / tree.sha256
    manifest.write_bytes(manifest.read_bytes().replace(b" run\n", b" ran\n"))
    with pytest.raises(DriftedTreeError, match="manifest is lost"):
        store.verify(tree)
    manifest.unlink()
    with pytest.raises(DriftedTreeError, match="manifest is lost"):
        store.verify(tree)


def test_a_link_in_the_place_of_a_tree_is_not_followed(
    store: Store, tmp_path: Path
) -> None:
    tree = added(store)
    place = store.path(tree.sha256)
    place.chmod(0o755)  # else its owner could not move it
    place.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o555)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DriftedTreeError, match="cannot read"):
        store.verify(tree)


def test_many_differences_are_counted(store: Store) -> None:
    tree = added(store)
    with tampering(store.path(tree.sha256)) as place:
        for number in range(9):
            (place / f"more{number}").touch(0o444)
    with pytest.raises(DriftedTreeError, match="and 4 more"):
        store.verify(tree)


def test_a_tree_that_drifted_is_replaced_by_adding_it_again(store: Store) -> None:
    tree = added(store)
    with tampering(store.path(tree.sha256)) as place:
        (place / "more").touch(0o444)
    assert added(store) == tree
    store.verify(tree)
    assert names(store) == {tree.sha256}


def test_a_whole_tree_stays_when_it_is_added_again(store: Store) -> None:
    tree = added(store)
    before = store.path(tree.sha256).stat().st_ino
    assert added(store) == tree
    assert store.path(tree.sha256).stat().st_ino == before


def test_another_tree_than_the_locked_one_is_not_added(store: Store) -> None:
    locked = added(store)
    before = names(store)
    with store.fresh() as folder:
        fill(folder, "another")
        with pytest.raises(DriftedTreeError, match=r"`pkg/server.py` \(content\)"):
            store.add(folder, locked=locked)
    with store.fresh() as folder:
        fill(folder, "another")
        with pytest.raises(DriftedTreeError, match="is not known here"):
            store.add(folder, locked=Tree("a" * 64, 1, 1))
    assert names(store) == before


def test_a_tree_with_a_hard_link_into_a_cache_is_refused(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("shared")
    with store.fresh() as folder:
        (folder / "file").hardlink_to(tmp_path / "cache")
        with pytest.raises(TreeError, match="hard link"):
            store.add(folder)
    assert names(store) == set()


def test_a_set_user_id_file_is_refused_and_not_tamed(store: Store) -> None:
    with store.fresh() as folder:
        (folder / "su").touch()
        (folder / "su").chmod(0o4755)
        with pytest.raises(TreeError, match="set-user-ID"):
            store.add(folder)


def test_only_folders_of_the_store_are_added(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(LockError, match="no folder of this store"):
        store.add(tmp_path / "elsewhere")


def test_a_folder_that_was_not_added_is_gone(store: Store) -> None:
    with store.fresh() as folder:
        fill(folder)
        (folder / "pkg").chmod(0)
        assert names(store) == {folder.name}
    assert names(store) == set()


def test_many_who_add_the_same_at_once_get_one_whole_tree(store: Store) -> None:
    trees: list[Tree] = []
    threads = [
        threading.Thread(target=lambda: trees.append(added(store))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trees) == 6
    assert len(set(map(repr, trees))) == 1
    store.verify(trees[0])
    assert names(store) == {trees[0].sha256}


def test_what_is_not_kept_is_removed(store: Store) -> None:
    kept, unused = added(store, "1"), added(store, "2")
    assert store.remove_unused([kept.sha256]) == [unused.sha256]
    store.verify(kept)
    assert names(store) == {kept.sha256}
    assert not (store.root / "manifests" / unused.sha256).exists()


def test_work_in_progress_is_not_swept_away(store: Store) -> None:
    with store.fresh() as folder:
        fill(folder)
        store.sweep()
        store.remove_unused([])
        tree = store.add(folder)
    store.verify(tree)


ADD = """
import sys
from pathlib import Path
from bascule.lock.store import Store

store = Store(Path(sys.argv[1]))
with store.fresh() as folder:
    for number in range(int(sys.argv[2])):
        (folder / str(number)).write_text("x")
    print("ready", flush=True)
    for line in sys.stdin:
        break
    store.add(folder)
print("done", flush=True)
"""


def adder(store: Store, files: int) -> subprocess.Popen[str]:
    """Start a process that adds a tree when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", ADD, str(store.root), str(files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_process_leaves_is_swept_away(store: Store) -> None:
    tree = added(store)
    process = adder(store, 3)
    assert len(names(store)) == 2
    store.sweep()
    assert len(names(store)) == 2, "it still runs"
    process.kill()
    process.communicate()
    store.sweep()
    assert names(store) == {tree.sha256}
    store.verify(tree)


STEPS = ["_seal", "write_durably", "sync_folder"]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_each_step_leaves_the_old_state_whole(
    store: Store, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = added(store)
    with monkeypatch.context() as patch:
        patch.setattr(stores, step, _fails)
        with pytest.raises(LockError, match="no space"):
            added(store, "another")
    assert names(store) == {tree.sha256}
    store.verify(tree)
    another = added(store, "another")
    store.verify(another)


def _fails(*_: object, **__: object) -> None:
    raise OSError(28, "no space left on device")


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_kill_at_any_moment_leaves_whole_trees(store: Store) -> None:
    tree = added(store)
    for number in range(100):
        process = adder(store, 200)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        threading.Event().wait(number * 0.001)
        process.kill()
        process.communicate()
        store.verify(tree)
        for name in names(store):
            if not name.startswith("."):
                found = stores.measure(store.path(name), sealed=True)
                assert found.sha256 == name
                assert store.differences(name) == []
        kept = [tree.sha256]
        store.remove_unused(kept)
        assert names(store) == {tree.sha256}
