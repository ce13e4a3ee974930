"""`kill -9` within a call of a session of an older revision; the session outlives it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import PATIENCE, until
from system.killing import calls_of, killed_at
from system.legacy_client import LegacyClient, request
from system.legacy_recorder import LegacyServer
from system.recorder import Recorder, recording
from system.server import Installation, install

CALL = "gateway/legacy_call.py"
STEPS = {
    "before the decision": (CALL, "legacy.check(request)"),
    "before it is recorded": ("gateway/deciding.py", "entry = gateway.journal.decided("),
    "before it is sent": (CALL, "data = write_request(upstream_id"),
    "once it is answered": (CALL, "check_status(turn, held, response, 400)"),
    "in mid-stream": (
        "gateway/legacy_relay.py",
        "if self._outcome is not None and self._sent is not None:",
    ),
    "before its end is recorded": (
        "gateway/deciding.py",
        "journal.completed(self._entry",
    ),
}
BEFORE_THE_RECORD = {"before the decision", "before it is recorded"}
AFTER_THE_UPSTREAM = {
    "once it is answered",
    "in mid-stream",
    "before its end is recorded",
}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """Give an upstream of the older revisions, in the place of the modern one."""
    with recording(LegacyServer()) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    recorder.take()
    made = install(tmp_path, recorder)
    yield made
    made.kill()


def called(client: LegacyClient, tool: str) -> http.client.HTTPConnection:
    """Begin a call that nobody waits for."""
    port = client.bascule.public
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    params = {"name": tool, "arguments": {}, "_meta": {"progressToken": 1}}
    message = json.dumps(request("tools/call", params))
    connection.request("POST", client.path, message, client.headers())
    return connection


@pytest.mark.parametrize("step", STEPS)
def test_a_server_killed_at_a_step_of_a_call_in_a_session(
    step: str, own: Installation, recorder: Recorder
) -> None:
    own.start()
    client = LegacyClient(own, own.token(), "desk")
    assert client.initialize().status == 200
    assert own.stop() == 0
    recorder.take()
    tool = "streams" if "stream" in step else "echo"
    got = killed_at(own, *STEPS[step], lambda: called(client, tool))
    assert len(recorder.take()) == (step in AFTER_THE_UPSTREAM)
    assert (b'"result"' in got) == (step == "before its end is recorded")
    assert own.ask("audit", "verify")["ok"] is True
    own.start()
    assert client.call("tools/list").status == 200
    unknown = [] if step in BEFORE_THE_RECORD else [("call.start", "outcome_unknown")]
    until(lambda: calls_of(own, tool) == unknown)
    assert own.stop() == 0
    assert own.ask("audit", "verify")["problems"] == []
