"""Stopping: in force within two seconds, on open streams too, and never forgotten."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bascule.clock import monotonic
from patience import until
from system.recorder import Recorder
from system.server import Installation, Stream, serving

IN_FORCE_SECONDS = 2.0
"""The promise of the contract; what is measured here is far below it."""


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def opened(bascule: Installation, token: str) -> Stream:
    """Open a stream and see its first event."""
    stream = bascule.stream(token, "tools/call", {"name": "opens"})
    stream.expect()
    return stream


def refused(bascule: Installation, token: str, connector: str = "desk") -> bool:
    return bascule.call(token, "tools/list", connector=connector).status == 401


def assert_ended(bascule: Installation, token: str, stream: Stream, since: float) -> None:
    """See the stream end and the token refused, in time."""
    assert stream.next() is None
    stream.close()
    until(lambda: refused(bascule, token))
    assert monotonic() - since < IN_FORCE_SECONDS


SELECTORS: dict[str, Callable[[str], list[str]]] = {
    "user": lambda _: ["--user", "alice"],
    "user with its kind": lambda _: ["--user", "user:alice"],
    "agent": lambda _: ["--agent", "bascule-cli"],
    "connector": lambda _: ["--connector", "desk"],
    "token": lambda token: ["--jti", str(claims(token)["jti"])],
    "everything": lambda _: ["--all"],
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_revocation_ends_tokens_and_open_streams_by(
    selector: str, bascule: Installation, upstream: Recorder
) -> None:
    token = bascule.token()
    stream = opened(bascule, token)
    before = monotonic()
    bascule.ask("revoke", *SELECTORS[selector](token), "--reason", "test")
    assert_ended(bascule, token, stream, before)
    upstream.wait_closed()


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_token_of_the_same_second_after_it_works(
    selector: str, bascule: Installation
) -> None:
    old = bascule.token()
    bascule.ask("revoke", *SELECTORS[selector](old), "--reason", "test")
    new = bascule.token()
    assert bascule.call(new, "tools/list").status == 200
    until(lambda: refused(bascule, old))
    assert bascule.call(new, "tools/list").status == 200


@pytest.mark.parametrize(
    "selector", [["--user", "bob"], ["--agent", "robot"], ["--connector", "annex"]]
)
def test_a_revocation_ends_nothing_else(selector: list[str], bascule: Installation) -> None:
    token = bascule.token()
    named = {"--user": ("bob", "desk"), "--connector": ("alice", "annex")}
    user, connector = named.get(selector[0], ("alice", "desk"))
    agent = ["--agent", "robot"] if selector[0] == "--agent" else []
    ended = bascule.token(user, connector, *agent)
    assert not refused(bascule, ended, connector)
    bascule.ask("revoke", *selector, "--reason", "test")
    until(lambda: refused(bascule, ended, connector))
    assert bascule.call(token, "tools/list").status == 200


def test_the_outcome_of_an_ended_stream_is_recorded(
    bascule: Installation,
) -> None:
    token = bascule.token()
    stream = opened(bascule, token)
    bascule.ask("revoke", "--all", "--reason", "leak of 11/24")
    assert stream.next() is None
    stream.close()
    until(lambda: "revoked" in outcomes(bascule))
    until(lambda: recorded(bascule, "leak of 11/24") != [])
    (record,) = recorded(bascule, "leak of 11/24")
    assert record["admin"]["os_user"]


def recorded(bascule: Installation, reason: str) -> list[dict[str, Any]]:
    """Give the records of revocations for a reason."""
    revoked = [it for it in bascule.whole_records() if it["type"] == "revoke"]
    return [it for it in revoked if it["admin"]["reason"] == reason]


def outcomes(bascule: Installation) -> set[str]:
    """Give how calls ended; `ok` is left out of records."""
    results = [it["result"] for it in bascule.whole_records() if "result" in it]
    return {it.get("outcome", "ok") for it in results}


def test_a_disabled_user_is_out_until_enabled_and_then_needs_a_new_token(
    bascule: Installation,
) -> None:
    token = bascule.token("bob")
    stream = opened(bascule, token)
    before = monotonic()
    bascule.ask("user", "disable", "bob")
    assert_ended(bascule, token, stream, before)
    result = bascule.cli("token", "issue", "--user", "bob", "--connector", "desk")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "bascule user enable" in result.stderr
    bascule.ask("user", "enable", "bob")
    new = bascule.token("bob")
    until(lambda: not refused(bascule, new))
    assert refused(bascule, token)


def test_a_disabled_agent_is_out_until_enabled_and_then_needs_a_new_token(
    bascule: Installation,
) -> None:
    token = bascule.token("alice", "desk", "--agent", "robot")
    stream = opened(bascule, token)
    before = monotonic()
    bascule.ask("agent", "disable", "robot")
    assert_ended(bascule, token, stream, before)
    bascule.ask("agent", "enable", "robot")
    new = bascule.token("alice", "desk", "--agent", "robot")
    until(lambda: not refused(bascule, new))
    assert refused(bascule, token)


def test_clients_that_wait_for_the_database_keep_no_news_from_calls(
    bascule: Installation,
) -> None:
    token = bascule.token()
    assert not refused(bascule, token)
    bascule.ask("agent", "add", "waiting", "--redirect-uri", "http://localhost/back")
    form = b"grant_type=refresh_token&client_id=waiting&refresh_token=bsc_rt_none"
    media = {"Content-Type": "application/x-www-form-urlencoded"}
    writer = sqlite3.connect(bascule.data / "state.db", isolation_level=None)
    with contextlib.closing(writer), ThreadPoolExecutor(12) as clients:
        writer.execute("BEGIN IMMEDIATE")
        asked = [
            clients.submit(bascule.send, form, media, path="/oauth/token")
            for _ in range(12)
        ]
        end = monotonic() + 2 * IN_FORCE_SECONDS
        while monotonic() < end:
            assert bascule.call(token, "tools/list").status == 200
        assert not any(it.done() for it in asked)
        writer.execute("ROLLBACK")
    assert {it.result().status for it in asked} == {400}


def test_a_rotated_key_still_vouches_for_what_it_signed(bascule: Installation) -> None:
    old = bascule.token()
    assert not refused(bascule, old)
    bascule.ask("key", "rotate")
    new = bascule.token()
    until(lambda: not refused(bascule, new))
    assert not refused(bascule, old)
    keys = bascule.send(b"", {}, path="/oauth/jwks", verb="GET").json["keys"]
    assert len(keys) >= 2
    assert all("d" not in key for key in keys)


def test_a_compromised_key_vouches_for_nothing_at_once(
    bascule: Installation, upstream: Recorder
) -> None:
    old = bascule.token()
    stream = opened(bascule, old)
    before = monotonic()
    bascule.ask("key", "rotate", "--compromised")
    assert_ended(bascule, old, stream, before)
    upstream.wait_closed()
    new = bascule.token()
    until(lambda: not refused(bascule, new))
    keys = bascule.send(b"", {}, path="/oauth/jwks", verb="GET").json["keys"]
    assert len(keys) == 1


# The state itself: lost, locked, or brought back from before


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    """Give a server whose state may be ruined."""
    with serving(tmp_path, recorder) as made:
        yield made


def state_files(own: Installation) -> list[Path]:
    return sorted(own.data.glob("state.db*"))


def test_an_older_state_brought_back_trusts_nothing_of_before(
    own: Installation, tmp_path: Path
) -> None:
    stolen, other = own.token("alice"), own.token("bob")
    own.stop()
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in state_files(own):
        shutil.copy2(path, aside)
    own.ask("revoke", "--user", "alice", "--reason", "stolen")
    for path in state_files(own):
        path.unlink()
    for path in aside.iterdir():
        shutil.copy2(path, own.data)
    own.start()
    assert refused(own, stolen)
    assert refused(own, other)
    assert not refused(own, own.token("alice"))


def test_a_state_that_was_lost_trusts_nothing_of_before(own: Installation) -> None:
    token = own.token()
    assert own.stop() == 0
    for path in state_files(own):
        path.unlink()
    own.ask("user", "add", "alice")
    own.start()
    assert refused(own, token)
    assert not refused(own, own.token())


def unconfirmed(own: Installation, token: str) -> bool:
    answer = own.call(token, "tools/list")
    if answer.status == 503:
        assert answer.headers["retry-after"]
        assert answer.error["code"] == 503
    return answer.status == 503


def test_a_state_that_is_removed_is_noticed_and_nobody_is_served(
    own: Installation, upstream: Recorder
) -> None:
    token = own.token()
    stream = opened(own, token)
    for path in state_files(own):
        path.unlink()
    until(lambda: unconfirmed(own, token))
    upstream.take()
    assert stream.next() is None
    stream.close()
    assert unconfirmed(own, token)
    assert upstream.take() == []
    assert own.send(b"", {}, path="/readyz", verb="GET").status == 503


def test_a_state_that_is_replaced_by_an_older_one_is_noticed(
    own: Installation, tmp_path: Path
) -> None:
    token = own.token()
    aside = tmp_path / "aside.db"
    with sqlite3.connect(own.data / "state.db") as source, sqlite3.connect(aside) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    own.ask("revoke", "--user", "alice", "--reason", "stolen")
    until(lambda: refused(own, token))
    aside.chmod(0o600)
    aside.replace(own.data / "state.db")
    until(lambda: own.call(token, "tools/list").status != 200)
    until(lambda: own.send(b"", {}, path="/readyz", verb="GET").status == 503)
    assert own.call(token, "tools/list").status != 200
