"""The digest of a tree: what changes it, and what no tree may hold."""

from __future__ import annotations

import hashlib
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lock import tree as trees
from bascule.lock.manifest import Difference, Item, read_manifest, write_manifest
from bascule.lock.model import LockError
from bascule.lock.tree import TreeError, check_target, differences, measure, survey


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a tree with something of each kind."""
    root = tmp_path / "tree"
    (root / "pkg" / "data").mkdir(parents=True)
    (root / "pkg" / "server.py").write_bytes(b"print('hello')\n")
    (root / "pkg" / "data" / "empty").write_bytes(b"")
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "latest").symlink_to("pkg/server.py")
    for path in (root, root / "run"):
        os.utime(path, (1, 1))  # the kernel's clock for files ticks slowly
    return root


def test_a_tree_has_a_digest_a_number_of_files_and_a_size(folder: Path) -> None:
    tree = measure(folder)
    assert tree.files == 4
    assert tree.bytes == len(b"print('hello')\n#!/bin/sh\n")
    server, run = sha256(b"print('hello')\n"), sha256(b"#!/bin/sh\n")
    manifest = f"""\
bascule-tree 1
l {sha256(b"pkg/server.py")} 13 latest
d - 0 pkg
d - 0 pkg/data
f {sha256(b"")} 0 pkg/data/empty
f {server} 15 pkg/server.py
x {run} 10 run
"""
    assert tree.sha256 == sha256(manifest.encode())


def test_the_digest_is_of_names_and_bytes_alone(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    os.rename(folder, other)  # noqa: PTH104
    before = measure(other)
    for path in other.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    (other / "pkg" / "server.py").chmod(0o400)
    assert measure(other) == before


def _flip(folder: Path) -> None:
    (folder / "pkg" / "server.py").write_bytes(b"print('hellp')\n")


def _same_bytes_as_folder(folder: Path) -> None:
    (folder / "pkg" / "data" / "empty").unlink()
    (folder / "pkg" / "data" / "empty").mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], list[Difference]]] = {
    "one byte": (_flip, [Difference("pkg/server.py", "content")]),
    "a file more": (
        lambda it: (it / "pkg" / "sitecustomize.py").write_bytes(b""),
        [Difference("pkg/sitecustomize.py", "added")],
    ),
    "a file less": (lambda it: (it / "run").unlink(), [Difference("run", "removed")]),
    "another name": (
        lambda it: (it / "run").rename(it / "ran"),
        [Difference("ran", "added"), Difference("run", "removed")],
    ),
    "another folder": (
        lambda it: (it / "run").rename(it / "pkg" / "run"),
        [Difference("pkg/run", "added"), Difference("run", "removed")],
    ),
    "an empty folder": (
        lambda it: (it / "pkg" / "more").mkdir(),
        [Difference("pkg/more", "added")],
    ),
    "executable": (
        lambda it: (it / "pkg" / "server.py").chmod(0o755),
        [Difference("pkg/server.py", "kind")],
    ),
    "executable for others alone": (
        lambda it: (it / "pkg" / "server.py").chmod(0o645),
        [Difference("pkg/server.py", "kind")],
    ),
    "no longer executable": (
        lambda it: (it / "run").chmod(0o644),
        [Difference("run", "kind")],
    ),
    "a link elsewhere": (
        lambda it: ((it / "latest").unlink(), (it / "latest").symlink_to("run")),
        [Difference("latest", "content")],
    ),
    "a file for its link": (
        lambda it: ((it / "latest").unlink(), (it / "latest").write_text("pkg/server.py")),
        [Difference("latest", "kind")],
    ),
    "a folder for a file": (
        _same_bytes_as_folder,
        [Difference("pkg/data/empty", "kind")],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_seen_and_named(folder: Path, change: str) -> None:
    before, manifest = survey(folder)
    make, expected = CHANGES[change]
    make(folder)
    assert measure(folder).sha256 != before.sha256
    assert differences(folder, manifest, before.sha256) == expected


@given(
    before=st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=8), max_size=4),
    after=st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=8), max_size=4),
)
def test_two_trees_have_one_digest_only_when_they_are_the_same(
    before: dict[str, bytes],
    after: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("trees")
    for name, files in (("before", before), ("after", after)):
        (root / name).mkdir()
        for path, data in files.items():
            (root / name / path).write_bytes(data)
    assert (measure(root / "before") == measure(root / "after")) == (before == after)


def _hard_link(folder: Path) -> None:
    (folder / "again").hardlink_to(folder / "run")


def _hard_link_outwards(folder: Path) -> None:
    (folder.parent / "outside").hardlink_to(folder / "run")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(folder / "sock"))


def _deep(folder: Path) -> None:
    for _ in range(trees.MAX_DEPTH + 2):
        folder = folder / "d"
        folder.mkdir()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "hard link": (_hard_link, "hard link"),
    "hard link to outside": (_hard_link_outwards, "hard link"),
    "absolute link": (lambda it: (it / "a").symlink_to("/etc/passwd"), "absolute"),
    "link out of the tree": (lambda it: (it / "a").symlink_to("../x"), "out of the tree"),
    "link far out": (lambda it: (it / "pkg" / "a").symlink_to("../../x"), "out of the"),
    "link by a detour": (
        lambda it: (it / "pkg" / "a").symlink_to("data/../../../x"),
        "out of the tree",
    ),
    "set-user-ID": (lambda it: (it / "run").chmod(0o4755), "set-user-ID"),
    "set-group-ID": (lambda it: (it / "run").chmod(0o2755), "set-user-ID"),
    "pipe": (lambda it: os.mkfifo(it / "pipe"), "neither file"),
    "socket": (_socket, "neither file"),
    "not UTF-8": (lambda it: (it / os.fsdecode(b"\xff.py")).touch(), "not UTF-8"),
    "line end in a name": (lambda it: (it / "a\nf x").touch(), "control character"),
    "case": (lambda it: (it / "RUN").touch(), "are one on some systems"),
    "case of letters that are not ASCII": (
        lambda it: ((it / "é").touch(), (it / "É").touch()),
        "are one on some systems",
    ),
    "composition": (
        lambda it: ((it / "\u00e9").touch(), (it / "e\u0301").touch()),
        "are one on some systems",
    ),
    "depth": (_deep, "deep"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_tree_may_hold_is_refused_by_name(folder: Path, what: str) -> None:
    make, message = REFUSED[what]
    make(folder)
    with pytest.raises(TreeError, match=message):
        measure(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused_and_not_opened(folder: Path) -> None:
    os.mknod(folder / "null", 0o20666, os.makedev(1, 3))
    with pytest.raises(TreeError, match="neither file"):
        measure(folder)


@pytest.mark.parametrize("target", [b"b", b"./b", b"../d/b", b"c/b", b".."])
def test_links_that_stay_inside_are_fine(target: bytes) -> None:
    check_target(b"d/a", target)


def test_a_link_that_is_given_as_the_tree_is_refused(folder: Path) -> None:
    (folder.parent / "other").symlink_to(folder)
    with pytest.raises(TreeError, match="cannot read"):
        measure(folder.parent / "other")


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="cannot read"):
        measure(tmp_path / "nothing")


def test_too_many_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MAX_ITEMS", 5)
    with pytest.raises(TreeError, match="more than 5 files"):
        measure(folder)


def test_a_file_that_grows_while_it_is_read_is_refused(folder: Path) -> None:
    with pytest.raises(TreeError, match="changed while it was read"):
        _measure_while(folder, lambda: (folder / "run").write_bytes(b"#!/bin/sh\nevil"))


def test_a_file_of_the_same_size_that_changes_while_it_is_read_is_refused(
    folder: Path,
) -> None:
    with pytest.raises(TreeError, match="changed while it was read"):
        _measure_while(folder, lambda: (folder / "run").write_bytes(b"#!/bin/ch\n"))


def test_a_file_that_becomes_a_link_before_it_is_opened_is_not_followed(
    folder: Path,
) -> None:
    def swap() -> None:
        (folder / "run").unlink()
        (folder / "run").symlink_to("/etc/passwd")

    with pytest.raises(TreeError, match="run"):
        _measure_while(folder, swap, before="open")


def test_a_file_that_is_added_while_its_folder_is_walked_is_refused(folder: Path) -> None:
    with pytest.raises(TreeError, match="changed while it was read"):
        _measure_while(folder, lambda: (folder / "more").touch())


def _measure_while(
    folder: Path, change: Callable[[], object], before: str = "read"
) -> None:
    """Measure a tree, and make a change when `run` is about to be opened or is read."""
    with pytest.MonkeyPatch.context() as patch:
        opened: list[int] = []

        def open_(path: bytes, flags: int, dir_fd: int | None = None) -> int:
            if path == b"run" and before == "open":
                change()
            descriptor = os.open(path, flags, dir_fd=dir_fd)
            if path == b"run":
                opened.append(descriptor)
            return descriptor

        def read(descriptor: int, size: int) -> bytes:
            data = os.read(descriptor, size)
            if descriptor in opened:
                change()
            return data

        patch.setattr(trees, "os", _Os(open_, read))
        measure(folder)


class _Os:
    """The module `os` with two functions of ours."""

    def __init__(self, open_: object, read: object) -> None:
        self.open, self.read = open_, read

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_a_large_file_is_hashed_in_parts(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    os.truncate(tmp_path / "model.bin", 64 << 20)  # takes no room on disk
    tracemalloc.start()
    try:
        tree = measure(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tree.bytes == 64 << 20
    assert peak < 4 << 20


def test_a_sealed_tree_may_be_written_by_nobody(folder: Path) -> None:
    with pytest.raises(TreeError, match="can be written"):
        measure(folder, sealed=True)


_paths = st.binary(min_size=1, max_size=12).filter(lambda it: b"\n" not in it)
_files = st.builds(
    Item,
    _paths,
    st.sampled_from(["f", "x", "l"]),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(0, 2**62),
)
_folders = st.builds(Item, _paths, st.just("d"), st.just("-"), st.just(0))


@given(st.lists(st.one_of(_files, _folders), unique_by=lambda item: item.path))
def test_a_manifest_is_read_as_it_was_written(items: list[Item]) -> None:
    assert read_manifest(write_manifest(items)) == sorted(items)


@given(st.binary())
def test_any_bytes_are_a_manifest_or_raise_one_error(text: bytes) -> None:
    for candidate in (text, b"bascule-tree 1\n" + text + b"\n"):
        try:
            items = read_manifest(candidate)
        except LockError:
            continue
        assert write_manifest(items) == candidate


def test_a_manifest_of_another_tree_tells_no_differences(folder: Path) -> None:
    _, manifest = survey(folder)
    with pytest.raises(LockError, match="belongs to another"):
        differences(folder, manifest, "0" * 64)
