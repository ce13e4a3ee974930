"""Feeds of advisories: whole, bounded, one row for each package."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bascule.lock import advisory_feed
from bascule.lock.advisories import parse_advisory
from bascule.lock.advisory_feed import AboutPackage, Progress, read_feed
from bascule.lock.model import LockError


def packed(folder: Path, *documents: dict[str, Any] | bytes) -> Path:
    """Write a feed."""
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, document in enumerate(documents):
            data = document if isinstance(document, bytes) else json.dumps(document)
            archive.writestr(f"X-{place}.json", data)
    return path


def document(name: str, *packages: tuple[str, str], modified: str = "1") -> dict[str, Any]:
    """Make an advisory about packages."""
    affected = [
        {"package": {"ecosystem": ecosystem, "name": package}, "versions": ["1.0"]}
        for ecosystem, package in packages
    ]
    return {"id": name, "modified": modified, "affected": affected, "details": "long"}


def read(path: Path) -> list[AboutPackage]:
    """Read a feed to its end."""
    return list(read_feed(path, lambda _: None))


def test_there_is_a_row_for_each_package_that_says_nothing_of_others(
    tmp_path: Path,
) -> None:
    both = document("A", ("PyPI", "One_Thing"), ("npm", "two"), ("Go", "three"))
    rows = read(packed(tmp_path, both))
    assert [(it.ecosystem, it.name) for it in rows] == [
        ("PyPI", "one-thing"),
        ("npm", "two"),
    ]
    kept = parse_advisory(rows[0].document)
    assert [it.package.name for it in kept.affected] == ["One_Thing"]
    assert b"long" not in rows[0].document


def test_progress_says_how_far_it_is_and_how_old_the_feed_is(tmp_path: Path) -> None:
    heard = Progress()

    def hear(progress: Progress) -> None:
        nonlocal heard
        heard = progress

    path = packed(
        tmp_path,
        document("A", ("PyPI", "a"), modified="2026-02-01"),
        document("B", ("Go", "b"), modified="2026-01-01"),
    )
    list(read_feed(path, hear))
    assert heard == Progress(read=2, total=2, skipped=1, newest="2026-02-01")


def test_a_file_that_is_no_feed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    for path in (tmp_path / "text", tmp_path / "missing", packed(tmp_path)):
        with pytest.raises(LockError):
            read(path)


def test_one_unreadable_advisory_spoils_the_feed(tmp_path: Path) -> None:
    path = packed(tmp_path, document("A", ("PyPI", "a")), b"{")
    with pytest.raises(LockError, match=r"X-1\.json"):
        read(path)


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = packed(tmp_path, document("A", ("PyPI", "a")))
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(LockError):
        read(path)


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = packed(tmp_path, b" " * (advisory_feed.ADVISORY_BYTES + 1))
    with pytest.raises(LockError, match="too large"):
        read(large)
    monkeypatch.setattr(advisory_feed, "FEED_BYTES", 100)
    with pytest.raises(LockError, match="more than any feed"):
        read(packed(tmp_path, b" " * 60, b" " * 60))
