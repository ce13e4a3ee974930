"""`bascule link`: an address for one user, waiting for them, and the end of an account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bascule.cli import link as module
from bascule.cli.main import main
from bascule.clock import UnixTime, system_clock
from bascule.storage import link_requests, linked_accounts, revocations
from bascule.storage.link_requests import LIFETIME_SECONDS, digest
from bascule.storage.store import Store, open_store
from linked import Shelf, linked, tokens

CONFIG = """
[connectors.desk]
mode = "observe"
url = "https://desk.example/mcp"
credential = { kind = "per_user" }

[connectors.plain]
mode = "observe"
url = "https://plain.example/mcp"
"""
STATE = digest("the state")


class Place:
    """A configuration with one user, and what the command does there."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "bascule.toml"
        self.config.write_text(CONFIG)
        self.data = folder / "data"
        self.run("user", "add", "alice")

    def run(self, *words: str, fails: int = 0) -> Result:
        options = ["--config", str(self.config), "--data-dir", str(self.data)]
        result = CliRunner().invoke(main, [*options, *words], catch_exceptions=False)
        assert result.exit_code == fails, result.output
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def records(self, type: str) -> list[dict[str, Any]]:
        found = self.run("audit", "query", "--type", type, "--json").stdout
        return [json.loads(line) for line in found.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(open_store(place.data / "state.db")) as opened:
        yield opened


def test_the_address_is_for_one_user_for_ten_minutes_and_kept_as_a_hash(
    place: Place, store: Store
) -> None:
    said = place.json("link", "desk", "--no-wait")
    link_id = said.pop("url").removeprefix("http://localhost:8420/link/")
    assert said == {"connector": "desk", "user": "user:alice", "expires_in": 600}
    assert len(bytes.fromhex(link_id)) == 32
    find = partial(link_requests.find, id_hash=digest(link_id), now=system_clock())
    found = store.read(find)
    assert found is not None
    assert (found.user, found.agent, found.state) == ("user:alice", "", "open")
    written = b"".join(it.read_bytes() for it in place.data.rglob("*") if it.is_file())
    assert link_id.encode() not in written
    (record,) = place.records("link.ask")
    assert (record["user"], record["connector"]) == ("user:alice", "desk")


def test_without_json_it_is_a_sentence(place: Place) -> None:
    said = place.run("link", "desk", "--user", "alice", "--no-wait").stdout
    assert said.startswith("open http://localhost:8420/link/")
    assert said.endswith(" as alice within ten minutes\n")


def test_of_several_users_one_must_be_named(place: Place) -> None:
    place.run("user", "add", "bob")
    assert "--user" in place.run("link", "desk", "--no-wait", fails=2).stderr
    said = place.json("link", "desk", "--user", "bob", "--no-wait")
    assert said["user"] == "user:bob"
    place.run("user", "disable", "bob")
    assert place.json("link", "desk", "--no-wait")["user"] == "user:alice"
    for name in ("bob", "nobody"):
        said = place.run("link", "desk", "--user", name, "--no-wait", fails=3)
        assert f"there is no user `{name}`" in said.stderr


@pytest.mark.parametrize("name", ["plain", "nowhere"])
def test_a_connector_without_accounts_is_refused(place: Place, name: str) -> None:
    said = place.run("link", name, "--no-wait", fails=3)
    assert '`credential = { kind = "per_user" }`' in said.stderr
    assert said.stdout == ""
    assert place.records("link.ask") == []


@pytest.mark.parametrize("way", ["connected", "refused", "revoked"])
def test_it_waits_until_the_user_is_done(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    looks: list[float] = []

    def pause(seconds: float) -> None:
        """Be the user, who has opened the page by now."""
        looks.append(seconds)
        if len(looks) == 1:
            _finish(store, way)

    monkeypatch.setattr(module.time, "sleep", pause)
    said = place.run("link", "desk", "--json", fails=0 if way == "connected" else 3)
    assert json.loads(said.stdout)["connector"] == "desk"
    assert len(looks) == 1
    if way == "connected":
        assert said.stderr == "connected desk\n"
    else:
        assert "`desk` was not connected" in said.stderr


def _finish(store: Store, way: str) -> None:
    now = system_clock()
    if way == "revoked":
        revoke = partial(revocations.revoke, kind="user", key="user:alice", reason="lost")
        store.run(partial(revoke, now=now))
        return
    (id_hash,) = store.read(_open_requests)
    start = partial(link_requests.start, id_hash=id_hash, state_hash=STATE, flow=b"")
    assert store.run(partial(start, now=now))
    take = partial(link_requests.take, state_hash=STATE, user="user:alice", now=now)
    assert store.run(take) is not None
    is_linked = way == "connected"
    finish = partial(link_requests.finish, id_hash=id_hash, linked=is_linked, now=now)
    assert store.run(finish)


def _open_requests(conn: Any) -> list[bytes]:
    table = link_requests.table
    return list(conn.execute(table.select()).scalars())


def test_nobody_is_waited_for_longer_than_the_address_is_good(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0, 0, LIFETIME_SECONDS - 1, LIFETIME_SECONDS])
    now = system_clock()
    monkeypatch.setattr(module, "system_clock", lambda: UnixTime(now + next(times, 9999)))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert "in time" in place.run("link", "desk", fails=3).stderr


def test_an_account_is_ended_once(place: Place, store: Store) -> None:
    linked(store, Shelf(), tokens(expires_at=system_clock() + 600), now=system_clock())
    assert place.json("link", "desk", "--remove") == {
        "connector": "desk",
        "user": "user:alice",
        "unlinked": True,
    }
    live = partial(linked_accounts.live, user="user:alice", connector="desk")
    assert store.read(live) is None
    (record,) = place.records("unlink")
    assert (record["user"], record["connector"]) == ("user:alice", "desk")
    again = place.run("link", "desk", "--remove", "--json", fails=3)
    assert "has no account connected" in again.stderr
    assert again.stdout == ""
    assert len(place.records("unlink")) == 1
