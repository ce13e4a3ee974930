"""Two servers on one PostgreSQL: one state, one log, and either may die."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.clock import monotonic
from patience import until
from postgres import PostgresServer
from system import gated
from system.recorder import FORBIDDEN, Recorder
from system.replicas import in_database, on_postgres, replica
from system.server import Installation
from system.turncoat import turncoat

Pair = tuple[Installation, Installation]


@pytest.fixture
def database(postgres_server: PostgresServer, migrated_template: str) -> str:
    return postgres_server.create(template=migrated_template)


@pytest.fixture
def pair(
    tmp_path: Path, recorder: Recorder, postgres_server: PostgresServer, database: str
) -> Iterator[Pair]:
    url = postgres_server.url(database)
    first = on_postgres(tmp_path / "one", recorder, url)
    second = replica(tmp_path / "two", recorder, url, first)
    try:
        first.start()
        second.start()
        yield first, second
    finally:
        first.kill()
        second.kill()


def outcomes(own: Installation) -> dict[str, str]:
    """Give how calls ended, by the id of their record."""
    return {
        it["parent"]: it["result"].get("outcome", "ok")
        for it in own.whole_records()
        if "parent" in it
    }


def assert_one_whole_log(own: Installation) -> None:
    verdict = own.ask("audit", "verify")
    assert verdict["ok"], verdict
    assert verdict["pending"] == 0
    ids = [row["id"] for row in own.records()]
    assert len(ids) == len(set(ids))


def test_a_token_of_one_counts_at_the_other_and_its_revocation_too(pair: Pair) -> None:
    first, second = pair
    token = first.token()
    assert {it.tool(token, "echo").status for it in pair} == {200}
    stream = second.stream(token, "tools/call", {"name": "opens", "arguments": {}})
    stream.expect()
    before = monotonic()
    first.ask("revoke", "--user", "alice", "--reason", "lost laptop")
    assert stream.next() is None
    stream.close()
    until(lambda: second.tool(token, "echo").status == 401)
    assert monotonic() - before < 6, "two seconds, and what this machine is slow by"


def test_a_grant_at_one_is_in_force_at_the_other_and_so_is_its_end(pair: Pair) -> None:
    first, second = pair
    token = first.token()
    assert second.tool(token, FORBIDDEN).status == 400
    what = ("--user", "alice", "--tool", f"desk/{FORBIDDEN}", "--for", "1h")
    grant = first.ask("grant", *what, "--reason", "a ticket")
    until(lambda: second.tool(token, FORBIDDEN).status == 200)
    second.ask("grant", "end", grant["grant"], "--reason", "done")
    until(lambda: first.tool(token, FORBIDDEN).status == 400)


def test_a_key_that_one_drops_is_dropped_by_the_other(pair: Pair) -> None:
    first, second = pair
    token = first.token()
    assert second.tool(token, "echo").status == 200
    first.ask("key", "rotate", "--compromised")
    until(lambda: second.tool(token, "echo").status == 401)
    fresh = second.token()
    until(lambda: {it.tool(fresh, "echo").status for it in pair} == {200})


def test_both_write_one_log(pair: Pair) -> None:
    first, second = pair
    token = first.token()
    for _ in range(10):
        for it in pair:
            assert it.tool(token, "echo").status == 200
    assert second.stop() == 0
    assert first.stop() == 0
    assert_one_whole_log(first)
    calls = [it for it in first.whole_records() if it["type"] == "call.start"]
    assert len(calls) == 20
    assert len({it["boot"] for it in calls}) == 2
    assert set(outcomes(second).values()) == {"ok"}
    assert len(outcomes(second)) == 20


@pytest.mark.parametrize("victim", [0, 1])
def test_either_may_be_killed_and_the_other_goes_on(
    victim: int, pair: Pair, recorder: Recorder
) -> None:
    dead, alive = pair[victim], pair[1 - victim]
    token = alive.token()
    recorder.take()
    held = dead.abandoned(token, "hangs")
    recorder.wait()
    dead.kill()
    held.close()
    assert alive.tool(token, "echo").status == 200
    (call,) = alive.wait_for_records("--type", "call.start", "--name", "hangs")
    until(lambda: outcomes(alive).get(call["id"]) == "outcome_unknown")
    assert alive.send(b"", {}, path="/readyz", verb="GET").status == 200
    assert alive.stop() == 0
    assert_one_whole_log(alive)


def test_a_sequencer_that_slept_and_was_replaced_writes_nothing(
    pair: Pair, postgres_server: PostgresServer, database: str
) -> None:
    def fence() -> int:
        return int(postgres_server.execute("SELECT fence FROM log_lease", database)[0][0])

    first, second = pair
    token = first.token()
    before = fence()
    first.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            assert second.tool(token, "echo").status == 200
        until(lambda: fence() > before)
        until(lambda: len(second.records("--type", "call.start")) == 3)
        replaced = fence()
    finally:
        first.signal(signal.SIGCONT)
    # It wakes up, finds out, and serves on as the one that waits.
    until(lambda: first.tool(token, "echo").status == 200)
    assert fence() >= replaced
    until(lambda: "taken over" in first.log)
    assert first.stop() == 0
    assert second.stop() == 0
    assert_one_whole_log(second)
    assert len(second.records("--type", "call.start")) >= 4


def test_another_key_encryption_key_cannot_join(pair: Pair) -> None:
    first, second = pair
    second.stop()
    (second.folder / "key-encryption").write_text("A" * 43 + "=")
    result = second.run_up()
    assert result.returncode == 3
    assert "key_encryption" in result.stderr
    assert first.tool(first.token(), "echo").status == 200


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_again_and_again_they_keep_one_log(pair: Pair, recorder: Recorder) -> None:
    token = pair[0].token("alice", "desk", "--ttl", "3600")
    for turn in range(40):
        victim, other = pair[turn % 2], pair[1 - turn % 2]
        for it in pair:
            until(lambda it=it: it.tool(token, "echo").status == 200)
        recorder.take()
        held = victim.abandoned(token, "hangs")
        recorder.wait()
        victim.kill()
        held.close()
        until(lambda other=other: other.tool(token, "echo").status == 200)
        victim.start()
    for it in pair:
        assert it.stop() == 0
    assert_one_whole_log(pair[0])
    calls = [it for it in pair[0].whole_records() if it["type"] == "call.start"]
    ended = outcomes(pair[0])
    assert [it for it in calls if it["id"] not in ended] == []


def test_a_rejection_at_one_ends_what_both_serve(
    tmp_path: Path, postgres_server: PostgresServer, database: str
) -> None:
    url = postgres_server.url(database)
    folders = [tmp_path / "one", tmp_path / "two"]
    with turncoat() as upstream:
        tables = [in_database(it, url) for it in folders]
        first = gated.install(folders[0], upstream, server=tables[0])
        hosts = f'allowed_hosts = ["127.0.0.1:{first.public}"]\n'
        second = gated.configure(folders[1], upstream, server=hosts + tables[1])
        text = second.config.read_text()
        text = text.replace(f'{second.url}"', f'{first.url}"', 1)
        text = text.replace(f'127.0.0.1:{first.public}"]', f'127.0.0.1:{second.public}"]')
        second.config.write_text(text)
        gated.lock(second, "desk", upstream.document())  # the same, as a repository has it
        pair = (first, second)
        try:
            for it in pair:
                it.start()
            token = first.token()
            assert {it.tool(token, "echo").status for it in pair} == {503}
            gated.approve(first)
            for it in pair:
                until(lambda it=it: it.tool(token, "echo").status == 200)
            second.ask("reject", "desk", "--reason", "looked again")
            for it in pair:
                until(lambda it=it: it.tool(token, "echo").status == 503)
        finally:
            for it in pair:
                it.kill()
