"""Several processes serve one port: killed, told, drained, and one log all the same."""

from __future__ import annotations

import http.client
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.clock import monotonic
from patience import PATIENCE, until
from system.recorder import Recorder
from system.server import Installation, install
from system.visitor import set_up

WORKERS = 2


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    made = install(tmp_path, recorder)
    made.start("--workers", str(WORKERS), "--watch")
    try:
        yield made
    finally:
        made.kill()


def workers(own: Installation) -> list[int]:
    """Give the process ids of the workers."""
    assert own.process is not None
    pid = own.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(it) for it in found]


def test_whoever_signs_in_at_one_process_is_signed_in_at_all(own: Installation) -> None:
    """Each request is a connection of its own, and goes to either process."""
    visitor = set_up(own, "carol")
    assert all(visitor.signed_in for _ in range(12))
    visitor.post("/logout", {})
    assert not any(visitor.signed_in for _ in range(12))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not state.startswith("Z")


def metric(own: Installation, line: str) -> float:
    url = f"http://127.0.0.1:{own.admin}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        lines = response.read().decode().splitlines()
    return next((float(it.split()[-1]) for it in lines if it.startswith(line)), 0.0)


def outcomes(own: Installation) -> dict[str, str]:
    """Give how calls ended, by the id of their record."""
    return {
        it["parent"]: it["result"].get("outcome", "ok")
        for it in own.whole_records()
        if "parent" in it
    }


def assert_log_is_whole(own: Installation) -> None:
    verdict = own.ask("audit", "verify")
    assert verdict["ok"], verdict
    assert verdict["pending"] == 0


def test_all_workers_serve_and_their_counters_are_summed(own: Installation) -> None:
    assert len(workers(own)) == WORKERS
    token = own.token()
    assert {own.tool(token, "echo").status for _ in range(30)} == {200}
    until(lambda: metric(own, 'bascule_calls_total{outcome="ok"}') == 30)
    until(lambda: metric(own, "bascule_workers") == WORKERS)

    def both_served() -> bool:
        own.tool(token, "echo")
        ends = [it for it in own.whole_records() if it["type"] == "call.end"]
        return len({it["boot"] for it in ends}) == WORKERS

    until(both_served)
    assert own.stop() == 0
    assert_log_is_whole(own)


def test_calls_of_a_killed_worker_are_closed_while_the_others_serve(
    own: Installation, recorder: Recorder
) -> None:
    recorder.take()
    token = own.token()
    held = own.abandoned(token, "hangs")
    recorder.wait()
    before = workers(own)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not is_alive(pid))
    with pytest.raises((http.client.HTTPException, OSError)):
        held.getresponse()
    held.close()
    until(lambda: len(workers(own)) == WORKERS and not set(workers(own)) & set(before))
    assert own.tool(token, "echo").status == 200
    (call,) = own.wait_for_records("--type", "call.start", "--name", "hangs")
    until(lambda: outcomes(own).get(call["id"]) == "outcome_unknown")
    assert own.stop() == 0
    assert_log_is_whole(own)
    assert list(outcomes(own).values()).count("outcome_unknown") == 1


def test_workers_end_with_a_supervisor_that_is_killed(
    own: Installation, recorder: Recorder
) -> None:
    recorder.take()
    token = own.token()
    held = own.abandoned(token, "hangs")
    recorder.wait()
    pids = workers(own)
    own.kill()
    until(lambda: not any(map(is_alive, pids)))
    held.close()
    own.start("--workers", str(WORKERS))
    assert own.tool(token, "echo").status == 200
    (call,) = own.wait_for_records("--type", "call.start", "--name", "hangs")
    until(lambda: outcomes(own).get(call["id"]) == "outcome_unknown")
    own.stop()
    assert_log_is_whole(own)


def test_sigterm_lets_the_calls_of_all_workers_end(
    own: Installation, recorder: Recorder
) -> None:
    recorder.take()
    token = own.token()
    held = [own.abandoned(token, "hangs") for _ in range(4)]
    for _ in held:
        recorder.wait()
    own.signal(signal.SIGTERM)
    assert [it.getresponse().status for it in held] == [504] * 4
    for it in held:
        it.close()
    assert own.process is not None
    assert own.process.wait(15) == 0
    assert sorted(outcomes(own).values()) == ["timeout"] * 4
    assert_log_is_whole(own)


def test_a_worker_that_is_told_to_end_ends_well_and_is_replaced(own: Installation) -> None:
    first = workers(own)[0]
    os.kill(first, signal.SIGTERM)
    until(lambda: f"worker {first} ended with 0" in own.log)
    until(lambda: len(workers(own)) == WORKERS)
    assert own.tool(own.token(), "echo").status == 200


def test_a_revocation_reaches_the_streams_of_all_workers(own: Installation) -> None:
    token = own.token()
    params = {"name": "opens", "arguments": {}}
    streams = [own.stream(token, "tools/call", params) for _ in range(6)]
    for stream in streams:
        stream.expect()
    before = monotonic()
    own.ask("revoke", "--user", "alice", "--reason", "lost laptop")
    for stream in streams:
        assert stream.next() is None
        stream.close()
    assert {own.tool(token, "echo").status for _ in range(8)} == {401}
    assert monotonic() - before < 5


def test_a_changed_file_gives_new_rights_in_all_workers_and_says_which(
    own: Installation,
) -> None:
    token = own.token()
    text = own.config.read_text()
    assert own.tool(token, "forbidden").status == 400
    own.config.write_text(text.replace('"desk/echo", ', '"desk/forbidden", ', 1))
    until(lambda: "configuration reloaded" in own.log)
    assert {own.tool(token, "forbidden").status for _ in range(12)} == {200}
    assert {own.tool(token, "echo").status for _ in range(12)} == {400}
    own.wait_for_records("--type", "policy.reload")
    (record,) = [it for it in own.whole_records() if it["type"] == "policy.reload"]
    assert record["admin"]["widens"] == (
        "`user:alice` may use `desk/forbidden`; `user:bob` may use `desk/forbidden`"
    )


def test_what_one_worker_cannot_take_up_no_worker_takes_up(own: Installation) -> None:
    token = own.token()
    text = own.config.read_text().replace('"desk/echo", ', '"desk/forbidden", ', 1)
    own.config.write_text(text.replace("[connectors.desk]", '[connectors.desk]\nowner="x"'))
    (own.folder / "credential").unlink()  # read by each worker for itself
    until(lambda: "reload refused" in own.log)
    assert "credential" in own.log
    assert {own.tool(token, "forbidden").status for _ in range(12)} == {400}
    assert {own.tool(token, "echo").status for _ in range(12)} == {200}
    assert own.records("--type", "policy.reload") == []


def test_a_replaced_worker_starts_with_the_configuration_in_force(
    own: Installation,
) -> None:
    token = own.token()
    text = own.config.read_text()
    own.config.write_text(text.replace('"desk/echo", ', '"desk/forbidden", ', 1))
    until(lambda: "configuration reloaded" in own.log)
    # What is on disk now is not in force, and never comes to be.
    own.config.write_text("[connectors")
    until(lambda: "reload refused" in own.log)
    before = workers(own)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(workers(own)) == WORKERS and not set(workers(own)) & set(before))
    assert {own.tool(token, "forbidden").status for _ in range(12)} == {200}


def test_requests_in_flight_are_limited_over_all_workers(
    tmp_path: Path, recorder: Recorder
) -> None:
    limit = 6
    made = install(tmp_path, recorder, more=f"in_flight = {limit}")
    text = made.config.read_text().replace(
        "upstream_seconds = 2", "upstream_seconds = 30", 1
    )
    made.config.write_text(text)
    made.start("--workers", "3")
    try:
        recorder.take()
        token, other = made.token(), made.token("bob")
        held = [made.abandoned(token, "hangs") for _ in range(limit)]
        for _ in held:
            recorder.wait()
        assert {made.tool(token, "echo").status for _ in range(12)} == {429}
        assert made.tool(other, "echo").status == 200
        # What a worker had in flight that dies is not counted for ever.
        for pid in workers(made):
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(workers(made)) == 3)
        until(lambda: made.tool(token, "echo").status == 200)
        for it in held:
            it.close()
    finally:
        made.kill()


def test_up_says_when_a_worker_cannot_start(tmp_path: Path, recorder: Recorder) -> None:
    made = install(tmp_path, recorder)
    (tmp_path / "credential").unlink()
    result = made.run_up("--workers", "2")
    assert result.returncode == 3
    assert "credential" in result.stderr
    assert "ready" not in result.stderr


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_workers_killed_again_and_again_lose_no_record(
    own: Installation, recorder: Recorder
) -> None:
    token = own.token("alice", "desk", "--ttl", "3600")
    for turn in range(20):  # the pause before a worker is replaced grows
        recorder.take()
        held = own.abandoned(token, "hangs")
        recorder.wait()
        before = workers(own)
        victims = before if turn % 3 == 0 else before[turn % WORKERS :][:1]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        held.close()
        until(lambda: len(workers(own)) == WORKERS)
        until(lambda: own.tool(token, "echo").status == 200)
    assert own.stop() == 0
    assert_log_is_whole(own)
    calls = [it for it in own.whole_records() if it["type"] == "call.start"]
    ended = outcomes(own)
    assert [it for it in calls if it["id"] not in ended] == []
    assert "outcome_unknown" in ended.values()
