"""`bascule verify`: one byte, one word, one missing signature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bascule.lock.lock_file import LOCK_NAME
from system.locked import TOOL, Locked


@pytest.fixture
def place(tmp_path: Path) -> Locked:
    """Give a connector that is locked and approved."""
    place = Locked(tmp_path)
    place.run("lock")
    place.run("approve", "small", "--reason", "looked at it")
    return place


def parts(row: dict[str, Any]) -> list[str]:
    """Give what drifted."""
    return [it["part"] for it in row["drift"]]


def test_what_is_approved_and_untouched_is_ok(place: Locked) -> None:
    row = place.row("verify", "small")
    assert row == {
        "connector": "small",
        "ok": True,
        "approved": True,
        "drift": [],
        "not_assessed": row["not_assessed"],
    }
    assert place.rows("verify", "--all") == [row]


def test_what_is_not_approved_is_not_ok(tmp_path: Path) -> None:
    place = Locked(tmp_path)
    row = place.row("verify", "small", code=1)
    assert (row["ok"], row["approved"], parts(row)) == (False, False, ["lock"])
    place.run("lock")
    row = place.row("verify", "small", code=1)
    assert (row["ok"], row["approved"], parts(row)) == (False, False, [])
    place.run("approve", "small", "--reason", "looked at it")
    place.run("verify", "small")
    place.run("reject", "small", "--reason", "looked again")
    assert place.row("verify", "small", code=1)["approved"] is False


def test_one_byte_of_the_tree_is_noticed_and_its_file_named(place: Locked) -> None:
    file = place.tree / "server.py"
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    file.chmod(0o444)
    row = place.row("verify", "small", code=1)
    assert (row["approved"], parts(row)) == (True, ["tree"])
    assert "server.py" in row["drift"][0]["have"]


def test_a_missing_tree_is_told_with_the_remedy(place: Locked) -> None:
    place.tree.rename(place.folder / "away")
    row = place.row("verify", "small", code=1)
    assert parts(row) == ["tree"]
    assert "bascule install" in row["drift"][0]["have"]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ('env = { MORE = "1" }', "launch.env"),
        ('owner = "somebody"', "access.owner"),
        ('boundary = { may_reach = ["a.example:443"] }', "sandbox.may_reach"),
        ('may_ask = ["sampling"]', "access.may_ask"),
    ],
)
def test_a_changed_setting_is_drift(place: Locked, settings: str, part: str) -> None:
    place.configure(settings)
    assert parts(place.row("verify", "small", code=1)) == [part]


def test_another_command_is_drift(place: Locked) -> None:
    place.configure(command='["python3", "server/server.py", "--more"]')
    assert parts(place.row("verify", "small", code=1)) == ["launch.command"]


def test_a_lock_that_was_edited_is_not_what_was_approved(place: Locked) -> None:
    path = place.folder / LOCK_NAME
    lock = json.loads(path.read_text())
    lock["connectors"]["small"]["sandbox"] = {"may_reach": ["a.example:443"]}
    path.write_text(json.dumps(lock))
    place.configure('boundary = { may_reach = ["a.example:443"] }')
    row = place.row("verify", "small", code=1)
    assert (row["approved"], parts(row)) == (False, [])


def test_definitions_that_were_edited_are_drift(place: Locked) -> None:
    path = place.folder / "surfaces" / "small.json"
    path.write_text(path.read_text().replace("Looks.", "Looks!"))
    assert parts(place.row("verify", "small", code=1)) == ["surface.document"]


def test_another_interpreter_is_drift(place: Locked) -> None:
    path = place.folder / LOCK_NAME
    lock = json.loads(path.read_text())
    (build,) = lock["connectors"]["small"]["builds"].values()
    build["runtime"]["sha256"] = "00" * 32
    path.write_text(json.dumps(lock))
    assert "runtime" in parts(place.row("verify", "small", code=1))


def test_only_what_is_running_is_approved_again(place: Locked) -> None:
    place.serve({**TOOL, "description": "Looks on."})
    place.run("lock")
    assert place.row("verify", "small", code=1)["approved"] is False
    place.run("approve", "small", "--reason", "looked at the change")
    place.run("verify", "--all")


def test_people_are_told_in_words(place: Locked) -> None:
    assert "small: ok, approved" in place.run("verify", "small").stdout
    place.configure('owner = "somebody"')
    told = place.run("verify", "small", code=1).stdout
    assert "access.owner: locked , found somebody" in told


@pytest.mark.parametrize("words", [(), ("small", "--all")])
def test_one_or_all_must_be_named(place: Locked, words: tuple[str, ...]) -> None:
    place.run("verify", *words, code=2)


def test_a_connector_that_is_not_configured_cannot_be_verified(place: Locked) -> None:
    assert "bascule add other" in place.run("verify", "other", code=3).stderr
