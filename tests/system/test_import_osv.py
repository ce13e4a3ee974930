"""`bascule import osv`: advisories into the state, whole or not counted."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from bascule.app.advisories import assess_all, import_feed, known_fixes
from bascule.cli.main import main
from bascule.cli.schemas import schema_of
from bascule.clock import UnixTime
from bascule.lock.advisory_feed import Progress
from bascule.lock.model import Access, Artifact, Entry, Launch, LockError, Package, Source
from bascule.storage.store import Store
from postgres import OpenStore

NOW = UnixTime(1_790_000_000)  # 2026-09-21


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def advisory(
    name: str, *packages: str, modified: str = "2026-09-20T00:00:00Z"
) -> dict[str, Any]:
    """Make an advisory about the first version of packages of PyPI."""
    affected = [
        {"package": {"ecosystem": "PyPI", "name": it}, "versions": ["1.0"]}
        for it in packages
    ]
    return {"id": name, "modified": modified, "affected": affected}


def feed(folder: Path, *advisories: dict[str, Any] | bytes) -> Path:
    """Write a feed."""
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for place, it in enumerate(advisories):
            archive.writestr(
                f"{place}.json", it if isinstance(it, bytes) else json.dumps(it)
            )
    return path


def take_in(store: Store, path: Path, now: UnixTime = NOW) -> None:
    """Import a feed."""
    import_feed(store, path, now=now, progress=lambda _: None)


def entry(*names: str) -> Entry:
    """Make an entry with the first version of packages of PyPI."""
    packages = tuple(Package(f"pkg:pypi/{it}@1.0", Artifact("file")) for it in names)
    return Entry(Source("pypi", "root"), Launch("stdio"), Access(), packages=packages)


def known(store: Store, *names: str) -> dict[str, list[str]]:
    """Give the advisories about packages that are known."""
    found = assess_all(store, {it: entry(it) for it in names}, now=NOW)
    return {it: [match.ids[0] for match in found[it].matches] for it in names}


def test_what_is_imported_counts_in_an_assessment(store: Store, tmp_path: Path) -> None:
    before = assess_all(store, {"a": entry("a")}, now=NOW)["a"]
    assert before.state == "not_assessed"
    take_in(store, feed(tmp_path, advisory("X-1", "a", "b"), advisory("X-2", "a")))
    found = assess_all(store, {"a": entry("a"), "c": entry("c")}, now=NOW)
    assert (found["a"].state, found["c"].state) == ("affected", "clean")
    assert known(store, "a", "b", "c") == {"a": ["X-1", "X-2"], "b": ["X-1"], "c": []}


def test_what_is_imported_tells_which_version_fixes_it(
    store: Store, tmp_path: Path
) -> None:
    events = [{"introduced": "0"}, {"fixed": "1.2"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "a"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    take_in(store, feed(tmp_path, {**advisory("X-1"), "affected": [affected]}))
    fixes = known_fixes(store)
    told = {it: fixes.is_affected(f"pkg:pypi/a@{it}") for it in ("1.1", "1.2")}
    assert told == {"1.1": True, "1.2": False}
    assert [it for it in ("1.1", "1.2", "1.3") if fixes.is_fix(f"pkg:pypi/a@{it}")] == [
        "1.2"
    ]
    assert not fixes.is_affected("pkg:pypi/b@1.1")


def test_a_newer_word_replaces_an_older_one_and_never_the_other_way(
    store: Store, tmp_path: Path
) -> None:
    take_in(store, feed(tmp_path, advisory("X-1", "a", "b", modified="2026-02")))
    take_in(store, feed(tmp_path, advisory("X-1", "a", "c", modified="2026-03")))
    assert known(store, "a", "b", "c") == {"a": ["X-1"], "b": [], "c": ["X-1"]}
    take_in(store, feed(tmp_path, advisory("X-1", "b", modified="2026-01")))
    assert known(store, "a", "b", "c") == {"a": ["X-1"], "b": [], "c": ["X-1"]}


def test_an_older_feed_makes_nothing_older(store: Store, tmp_path: Path) -> None:
    take_in(store, feed(tmp_path, advisory("X-1", "a")))
    take_in(store, feed(tmp_path, advisory("X-2", "b", modified="2020-01-01T00:00:00Z")))
    assert assess_all(store, {"c": entry("c")}, now=NOW)["c"].state == "clean"


def test_a_feed_that_breaks_off_does_not_count_as_imported(
    store: Store, tmp_path: Path
) -> None:
    many = [advisory(f"X-{place}", "a") for place in range(2500)]
    with pytest.raises(LockError):
        take_in(store, feed(tmp_path, *many, b"{"))
    found = assess_all(store, {"a": entry("a"), "b": entry("b")}, now=NOW)
    # What is known against a package is told; that nothing is, cannot be.
    assert (found["a"].state, found["b"].state) == ("affected", "not_assessed")


def test_progress_is_told(store: Store, tmp_path: Path) -> None:
    heard: list[int] = []

    def hear(progress: Progress) -> None:
        heard.append(progress.read)

    path = feed(tmp_path, advisory("X-1", "a"), advisory("X-2", "b"))
    import_feed(store, path, now=NOW, progress=hear)
    assert heard == [1, 2]


def run(folder: Path, *words: str) -> Result:
    """Run a command in a folder of its own."""
    options = ["--config", str(folder / "bascule.toml"), "--data-dir", str(folder / "data")]
    (folder / "bascule.toml").touch()
    return CliRunner().invoke(main, [*options, *words], catch_exceptions=False)


def test_the_command_says_what_is_known_now_and_is_recorded(tmp_path: Path) -> None:
    path = feed(tmp_path, advisory("X-1", "a"), advisory("X-2", "b"))
    result = run(tmp_path, "import", "osv", str(path), "--json")
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    jsonschema.validate(row, schema_of("import-osv") or {})
    assert (row["ecosystem"], row["advisories"]) == ("PyPI", 2)
    rows = run(tmp_path, "audit", "query", "--type", "advisories.import", "--json")
    assert len(rows.stdout.splitlines()) == 1


def test_a_file_that_is_no_feed_could_not_be_run(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    for name in ("text", "missing"):
        result = run(tmp_path, "import", "osv", str(tmp_path / name))
        assert result.exit_code == 3
        assert name in result.stderr
