"""`bascule monitor`: what came up since an approval, and what nobody can know."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bascule.app import watcher as watcher_module
from bascule.app.place import Place
from bascule.app.watcher import Watcher
from bascule.config.load import load
from bascule.lock.lock_file import EMPTY, change_lock, with_entry
from bascule.lock.model import Artifact, LockError, LockFile, Package
from system.locked import Locked

PURL = "pkg:pypi/thing@1.0"


def approved(folder: Path, *more: str) -> Locked:
    """Give a connector that is approved, with a package that we say it has."""
    place = Locked(folder)
    place.run("lock")
    entry = msgspec.structs.replace(
        place.entry, packages=(Package(PURL, Artifact("thing.whl", sha256="ab" * 32)),)
    )
    change_lock(place.folder, lambda lock: with_entry(lock, "small", entry))
    place.run("approve", "small", "--reason", "looked at it", *more)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Locked:
    return approved(tmp_path)


def take_in(place: Locked, *names: str) -> None:
    """Import a feed of today in which the package has those advisories."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = place.folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, package in [("X-0", "other"), *((it, "thing") for it in names)]:
            affected = {
                "package": {"ecosystem": "PyPI", "name": package},
                "versions": ["1.0"],
            }
            document = {"id": name, "modified": now, "affected": [affected]}
            archive.writestr(f"{name}.json", json.dumps(document))
    place.run("import", "osv", str(path))


def told(place: Locked, *, code: int) -> dict[str, dict[str, Any]]:
    """Give what is told without asking a registry, by subject."""
    return {it["subject"]: it for it in place.rows("monitor", "--offline", code=code)}


def test_nothing_is_fine_that_nobody_looked_at(place: Locked) -> None:
    rows = told(place, code=0)
    assert {it: row["state"] for it, row in rows.items()} == {
        "advisories": "not_assessed",
        "approval": "fine",
        "versions": "not_assessed",
    }


def test_a_fresh_feed_without_a_word_about_it_is_fine(place: Locked) -> None:
    take_in(place)
    assert told(place, code=0)["advisories"]["state"] == "fine"


def test_an_advisory_is_found(place: Locked) -> None:
    take_in(place, "X-1")
    row = told(place, code=1)["advisories"]
    assert (row["state"], row["ids"], row["stops"]) == ("found", ["X-1"], False)
    assert PURL in row["detail"]
    place.run("verify", "small")  # it is what was approved all the same


def test_malware_is_no_longer_what_was_approved(place: Locked) -> None:
    take_in(place, "MAL-1")
    assert told(place, code=1)["advisories"]["stops"] is True
    row = place.row("verify", "small", code=1)
    assert [it["part"] for it in row["drift"]] == ["packages.advisories"]


def test_malware_is_run_for_nobody(place: Locked) -> None:
    take_in(place, "MAL-1")
    assert "holds known malware" in place.run("run", "small", code=1).stderr


def test_an_approval_that_ends_soon_is_found(tmp_path: Path) -> None:
    place = approved(tmp_path, "--expires", "3d")
    row = told(place, code=1)["approval"]
    assert row["state"] == "found"
    assert "bascule approve small" in row["detail"]


def test_without_a_lock_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert "bascule lock" in Locked(tmp_path).run("monitor", code=3).stderr


def test_a_server_looks_by_itself_and_records_what_is_new(
    place: Locked, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(place.config.read_text(), source="bascule.toml")
    with closing(Place(place.data, config.server)) as held:
        watcher = Watcher(held, place.config, lambda: config)
        (timer,) = watcher.timers

        def look() -> list[dict[str, Any]]:
            asyncio.run(timer.work())
            return place.rows("audit", "query", "--type", "watch.found")

        take_in(place, "X-1")
        assert [it["connector"] for it in look()] == ["small"]
        assert len(look()) == 1  # due again tomorrow
        take_in(place, "X-1")
        assert len(look()) == 1  # told already
        take_in(place, "X-1", "X-2")
        assert len(look()) == 2
        assert "X-2" in caplog.text
        place.run("reject", "small", "--reason", "x")
        assert len(look()) == 3
        assert "reject" not in caplog.text  # by `ApprovalNotices`, and not twice


def test_a_look_that_fails_is_done_again_within_a_minute(
    place: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(place.config.read_text(), source="bascule.toml")
    moments = iter((100.0, 101.0, 101.0, 130.0, 162.0, 162.0, 162.0, 163.0, 80_000.0))
    monkeypatch.setattr(watcher_module, "monotonic", lambda: next(moments))
    looks: list[bool] = []

    def fail(folder: Path) -> LockFile:
        looks.append(True)
        if len(looks) == 1:
            raise LockError("half written")
        return EMPTY

    monkeypatch.setattr(watcher_module, "read_lock", fail)
    with closing(Place(place.data, config.server)) as held:
        (timer,) = Watcher(held, place.config, lambda: config).timers
        for expected in (1, 1, 2, 2, 2):
            asyncio.run(timer.work())
            assert len(looks) == expected
