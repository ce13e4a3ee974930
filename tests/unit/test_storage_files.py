"""Files beside the database: signing keys and the highest generation."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.keys import BadKeyError
from bascule.storage import durable, high_water, key_files
from bascule.storage.key_store import FolderKeys

NOW = UnixTime(1_800_000_000)
LATER = UnixTime(NOW + key_files.OVERLAP_SECONDS)


def in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_mark_only_rises(tmp_path: Path) -> None:
    mark = tmp_path / "generation"
    assert high_water.read(mark) == 0
    for number, expected in ((5, 5), (3, 5), (6, 6)):
        high_water.raise_to(mark, number)
        assert high_water.read(mark) == expected


def test_of_many_who_raise_it_at_once_the_highest_wins(tmp_path: Path) -> None:
    mark = tmp_path / "generation"
    numbers = iter(range(1, 41))
    lock = threading.Lock()

    def work() -> None:
        for _ in range(10):
            with lock:
                number = next(numbers)
            high_water.raise_to(mark, number)

    in_threads(4, work)
    assert high_water.read(mark) == 40


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5", "7\n", "9" * 19, "\N{SUPERSCRIPT TWO}"]
)
def test_a_mark_that_is_no_number_is_not_taken_for_zero(tmp_path: Path, text: str) -> None:
    """Zero would trust a database that was restored from anywhere."""
    mark = tmp_path / "generation"
    mark.write_text(text)
    with pytest.raises(BasculeError, match="revoke --all"):
        high_water.read(mark)
    with pytest.raises(BasculeError):
        high_water.raise_to(mark, 7)


def test_a_write_that_was_cut_short_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.jwk"
    durable.write(path, b"old")
    (tmp_path / "file.new").write_bytes(b"half of the n")
    assert path.read_bytes() == b"old"
    durable.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_gone_can_be_removed_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"x")
    durable.remove(path)
    durable.remove(path)
    assert not path.exists()


def test_the_first_key_is_the_same_for_all_who_ask_at_once(tmp_path: Path) -> None:
    found: list[str] = []
    in_threads(
        8,
        lambda: found.append(
            key_files.load_or_create(FolderKeys(tmp_path), now=NOW).active().kid
        ),
    )
    assert len(found) == 8
    assert len(set(found)) == 1


def test_no_other_user_can_read_a_key(tmp_path: Path) -> None:
    key_files.load_or_create(FolderKeys(tmp_path), now=NOW)
    key_files.rotate(FolderKeys(tmp_path), compromised=False, now=NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_after_a_rotation_the_old_key_is_accepted_until_its_tokens_have_expired(
    tmp_path: Path,
) -> None:
    old = key_files.load_or_create(FolderKeys(tmp_path), now=NOW).active()
    new = key_files.rotate(FolderKeys(tmp_path), compromised=False, now=NOW)
    keys = key_files.load(FolderKeys(tmp_path), now=UnixTime(LATER - 1))
    assert keys.active().kid == new.kid != old.kid
    assert keys.find(old.kid) is not None
    assert key_files.load(FolderKeys(tmp_path), now=LATER).find(old.kid) is None


def test_a_compromised_key_is_gone_at_once(tmp_path: Path) -> None:
    old = key_files.load_or_create(FolderKeys(tmp_path), now=NOW).active()
    older = key_files.rotate(FolderKeys(tmp_path), compromised=False, now=NOW)
    new = key_files.rotate(FolderKeys(tmp_path), compromised=True, now=NOW)
    keys = key_files.load(FolderKeys(tmp_path), now=NOW)
    assert (keys.find(old.kid), keys.find(older.kid)) == (None, None)
    assert [it.name for it in tmp_path.glob("token-*.jwk")] == [f"token-{new.kid}.jwk"]


def test_a_compromised_key_can_be_dropped_when_it_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "token-broken.jwk").write_text("{")
    key_files.rotate(FolderKeys(tmp_path), compromised=True, now=NOW)
    assert len(list(tmp_path.glob("token-*.jwk"))) == 1


def test_keys_whose_tokens_have_all_expired_are_removed(tmp_path: Path) -> None:
    old = key_files.load_or_create(FolderKeys(tmp_path), now=NOW).active()
    key_files.rotate(FolderKeys(tmp_path), compromised=False, now=NOW)
    key_files.rotate(FolderKeys(tmp_path), compromised=False, now=LATER)
    assert not (tmp_path / f"token-{old.kid}.jwk").exists()
    assert len(list(tmp_path.glob("token-*.jwk"))) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kty":"OKP"}', "\xff"])
def test_a_key_file_that_is_none_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "token-x.jwk").write_text(text)
    with pytest.raises((BadKeyError, BasculeError)):
        key_files.load(FolderKeys(tmp_path), now=NOW)
