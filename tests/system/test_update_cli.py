"""`bascule update`: newer versions wait for an approval while the old ones run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.lock.lock_file import LOCK_NAME
from bascule.lock.model import entry_digest
from system.locked import TOOL, Locked

BETTER = {**TOOL, "description": "Looks better."}


@pytest.fixture
def place(tmp_path: Path) -> Locked:
    """Give a connector that is approved, and has changed since."""
    place = Locked(tmp_path)
    place.run("lock")
    place.run("approve", "small", "--reason", "looked at it")
    place.serve(BETTER)
    return place


def test_what_is_proposed_leaves_what_runs_alone(place: Locked) -> None:
    before = (place.folder / LOCK_NAME).read_bytes()
    row = place.row("update")
    assert row["proposed"] not in (None, entry_digest(place.entry))
    assert (place.folder / LOCK_NAME).read_bytes() == before
    place.run("verify", "small")
    (record,) = place.rows("audit", "query", "--type", "connector.propose")
    assert record["connector"] == "small"


def test_it_is_compared_approved_and_then_locked(place: Locked) -> None:
    digest = place.row("update")["proposed"]
    assert "Looks better." in place.run("diff", "small", "locked..proposed", code=1).stdout
    place.run("approve", "small", "--proposed", "--reason", "it is better")
    assert entry_digest(place.entry) == digest
    place.run("verify", "small")
    assert not (place.folder / "locks" / "small" / "proposed").exists()
    place.run("diff", "small")


def test_without_a_change_nothing_is_proposed(place: Locked) -> None:
    place.run("update")
    place.serve(TOOL)
    assert place.row("update")["proposed"] is None
    for words in (
        ("diff", "small", "locked..proposed"),
        ("approve", "small", "--proposed", "--reason", "what?"),
    ):
        assert "bascule update small" in place.run(*words, code=3).stderr


def test_a_proposal_that_was_edited_is_not_approved(place: Locked) -> None:
    place.run("update")
    path = place.folder / "locks" / "small" / "proposed" / "surfaces" / "small.json"
    path.write_text(path.read_text().replace("better", "worse"))
    approve = ("approve", "small", "--proposed", "--reason", "it is better")
    assert "surface" in place.run(*approve, code=1).stderr
    place.run("verify", "small")


def test_what_is_not_locked_has_no_update(tmp_path: Path) -> None:
    assert "bascule lock" in Locked(tmp_path).run("update", code=3).stderr


@pytest.mark.parametrize("part", ["locks", "locks/small", "locks/small/proposed"])
def test_no_link_leads_a_proposal_elsewhere(place: Locked, part: str) -> None:
    """Who may commit one would have folders of theirs removed and written."""
    elsewhere = place.folder / "elsewhere"
    kept = elsewhere / "small" / "proposed" / "proposed" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    link = place.folder / part
    if link.is_dir():
        link.rename(place.folder / "away")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    assert "is a link" in place.run("update", code=3).stderr
    assert kept.exists()
    assert not list(elsewhere.rglob(LOCK_NAME))
