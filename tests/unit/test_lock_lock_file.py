"""The lock file: what is refused, what stays whole, what gives the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest

from bascule.lock.lock_file import (
    EMPTY,
    LOCK_NAME,
    change_lock,
    format_lock,
    native_lock,
    native_name,
    parse_lock,
    read_lock,
    read_native,
    with_entry,
)
from bascule.lock.model import Access, Entry, Launch, LockError, LockFile, Source

NATIVE = "mcp-server-time==1 --hash=sha256:00\n"
NAME = native_name("time", "requirements")


def entry(native: str = NATIVE) -> Entry:
    return Entry(
        Source("pypi", "mcp-server-time"),
        Launch("stdio", ("uvx", "mcp-server-time")),
        Access(),
        native_lock=native_lock(native, "requirements"),
    )


def put(folder: Path, native: str = NATIVE) -> LockFile:
    return change_lock(
        folder,
        lambda lock: with_entry(lock, "time", entry(native)),
        beside={NAME: native.encode()},
    )


def read_back(folder: Path) -> str:
    """Give what is in force: the native lock that the lock file names."""
    native = read_lock(folder).connectors["time"].native_lock
    assert native is not None
    return read_native(folder, "time", native)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    lock = put(tmp_path)
    assert read_lock(tmp_path) == lock
    assert read_back(tmp_path) == NATIVE
    assert (tmp_path / LOCK_NAME).read_bytes() == format_lock(lock)


def test_a_missing_file_has_no_connectors(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == EMPTY


def test_the_file_has_one_item_a_line_and_sorted_keys() -> None:
    text = format_lock(with_entry(EMPTY, "time", entry())).decode()
    tree = json.loads(text)
    assert text == json.dumps(tree, indent=2, sort_keys=True) + "\n"


def test_invisible_characters_are_visible_in_the_file() -> None:
    hidden = msgspec.structs.replace(entry(), access=Access(owner="team\u202e\u200b"))
    assert b"team\\u202e\\u200b" in format_lock(with_entry(EMPTY, "time", hidden))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "`lock_format` null"),
        (b'{"lock_format": 2, "new": 1}', "`lock_format` 2"),
        (b'{"lock_format": true}', "`lock_format` true"),
        (b'{"lock_format": 1.0}', "Expected `int`"),
        (b'{"connectors": {}}', "`lock_format` null"),
        (b'{"lock_format": 1, "new": 1}', "`new`"),
        (b'{"lock_format": 1, "lock_format": 1}', "`lock_format` stands twice"),
        (b'{"lock_format": 1, "connectors": {"a": {}, "a": {}}}', "`a` stands twice"),
        (b'{"lock_format": 1, "connectors": {"../a": {}}}', "required field"),
        (b'{"lock_format": 1, "connectors": NaN}', "`NaN` is no JSON"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(LockError) as caught:
        parse_lock(content)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", "-a", "a" * 33, "a\n"])
def test_an_entry_has_the_name_of_a_connector(name: str) -> None:
    tree = msgspec.to_builtins(with_entry(EMPTY, "time", entry()))
    tree["connectors"] = {name: tree["connectors"]["time"]}
    with pytest.raises(LockError, match="no name of a connector"):
        parse_lock(json.dumps(tree).encode())
    with pytest.raises(LockError, match="no name of a connector"):
        native_name(name, "requirements")


def test_an_unknown_field_of_an_entry_is_named() -> None:
    tree = msgspec.to_builtins(with_entry(EMPTY, "time", entry()))
    tree["connectors"]["time"]["launch"]["extra"] = 1
    with pytest.raises(LockError, match=r"`extra`.*\$\.connectors.*launch"):
        parse_lock(json.dumps(tree).encode())


def test_a_native_lock_that_was_edited_by_hand_is_refused(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / NAME).write_text(NATIVE.replace("00", "01"))
    with pytest.raises(LockError, match="is not the file that the lock names"):
        read_back(tmp_path)
    (tmp_path / NAME).unlink()
    with pytest.raises(LockError, match="is missing"):
        read_back(tmp_path)


def test_mode_and_link_stay(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / LOCK_NAME).symlink_to(real / LOCK_NAME)
    put(folder)
    (real / LOCK_NAME).chmod(0o640)
    (folder / NAME).chmod(0o640)
    put(folder, "other")
    assert (folder / LOCK_NAME).is_symlink()
    assert (real / LOCK_NAME).stat().st_mode & 0o777 == 0o640
    assert (folder / NAME).stat().st_mode & 0o777 == 0o640
    assert (folder / NAME).read_text() == "other"


def test_a_change_that_fails_leaves_all_as_before(tmp_path: Path) -> None:
    put(tmp_path)
    before = snapshot(tmp_path)

    def fail(_: LockFile) -> LockFile:
        raise LockError("no")

    with pytest.raises(LockError, match="no"):
        change_lock(tmp_path, fail, beside={NAME: b"new"})
    assert snapshot(tmp_path) == before


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../x", "/x", "locks/../../x", "locks//x", ".x", ""):
        with pytest.raises(LockError, match="no path below"):
            change_lock(tmp_path, lambda lock: lock, beside={name: b""})


def test_nothing_is_written_or_read_through_a_link(tmp_path: Path) -> None:
    """A change in version control can be a link."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "locks").mkdir()
    (folder / "locks" / "time").symlink_to(elsewhere)
    with pytest.raises(LockError, match="is a link"):
        put(folder)
    assert snapshot(elsewhere) == {}
    assert not (folder / LOCK_NAME).exists()
    (folder / "locks" / "time").unlink()
    (folder / "locks" / "time").mkdir()
    victim = elsewhere / "victim"
    victim.write_text("untouched")
    (folder / NAME).symlink_to(victim)
    put(folder)
    assert victim.read_text() == "untouched"
    assert read_back(folder) == NATIVE


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_two_processes_lose_no_change(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_some, args=(tmp_path, n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read_lock(tmp_path).connectors) == 20
    assert [worker.exitcode for worker in workers] == [0, 0]


def add_some(folder: Path, number: int) -> None:
    for each in range(10):
        name = f"c-{number}-{each}"
        change_lock(folder, lambda lock, name=name: with_entry(lock, name, entry()))  # type: ignore[misc]


@pytest.mark.parametrize("step", range(12))
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, step: int
) -> None:
    """Each call that changes the file system is a step; the process ends at one of them."""
    put(tmp_path)
    for attempt in ("new", "newer"):
        child = os.fork()
        if child == 0:
            end_at(step)
            put(tmp_path, attempt)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert read_back(tmp_path) in (NATIVE, "new", "newer")
        if status == 0:
            assert read_back(tmp_path) == attempt
    put(tmp_path, "last")
    assert read_back(tmp_path) == "last"
    assert sorted(snapshot(tmp_path)) == sorted([LOCK_NAME, NAME])


def test_a_pipe_is_no_lock_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK_NAME)
    with pytest.raises(LockError, match="is no file"):
        read_lock(tmp_path)


def test_what_has_no_end_is_not_what_is_named(tmp_path: Path) -> None:
    put(tmp_path, "text")
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to("/dev/zero")
    with pytest.raises(LockError, match="is not the file that the lock names"):
        read_back(tmp_path)


def end_at(step: int) -> None:
    """End this process as kill -9 would, before its `step`-th change of the file system."""
    import sys

    left = [step]

    def count(event: str, _: object) -> None:
        if event in ("os.rename", "os.remove", "os.mkdir") or (
            event == "open" and sys._getframe(1).f_code.co_name == "write_like"
        ):
            if left[0] == 0:
                os.kill(os.getpid(), 9)
            left[0] -= 1

    sys.addaudithook(count)
