"""`kill -9` at each step of a call: nothing without its record, none lost, clean start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from patience import until
from system.killing import calls_of, killed_at
from system.recorder import Recorder
from system.server import Installation, install

ARRIVAL = "gateway/arrival.py"
CALL = "gateway/call.py"
FORWARD = "gateway/forward.py"
STEPS = {
    "1": (ARRIVAL, "now = gateway.snapshot, gateway.upstreams, gateway.clock()"),
    "2": (ARRIVAL, "check_origin(exchange, gateway.allowed)"),
    "3": (ARRIVAL, "resource = resource_identifier("),
    "4": (ARRIVAL, "work.proof = prove("),
    "5": (ARRIVAL, "message = parse("),
    "6": ("gateway/asked.py", "facts = turn.facts_of("),
    "7": (CALL, "= await decided("),
    "8": (CALL, "await on_disk(gateway, made.entry)"),
    "10": (FORWARD, "upstream.pool.send(data, listening="),
    "11": (FORWARD, "body = write_request("),
    "12": (FORWARD, "passage = turn.passage("),
    "12, in mid-stream": ("gateway/relay.py", "await exchange.drained()"),
    "13": ("gateway/deciding.py", "journal.completed(self._entry"),
}
"""Where a call is killed; 9 is for calls that are denied."""
DENIED = {
    "7": STEPS["7"],
    "8": STEPS["8"],
    "9": (CALL, "refusal.denied(gateway, exchange, request, facts"),
}
BEFORE_THE_RECORD = {"1", "2", "3", "4", "5", "6", "7"}
AFTER_THE_UPSTREAM = {"12", "12, in mid-stream", "13"}
IN_EACH_RUN = {"7", "8", "10", "12, in mid-stream", "13"}
"""Around the record and the upstream; the others are for the long loops."""


def steps(found: Iterable[str]) -> list[ParameterSet]:
    return [
        pytest.param(it, marks=() if it in IN_EACH_RUN else pytest.mark.soak)
        for it in found
    ]


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    recorder.take()
    made = install(tmp_path, recorder)
    yield made
    made.kill()


def assert_clean_start(own: Installation, recorder: Recorder) -> None:
    """See the next start serve, and the log whole."""
    assert own.ask("audit", "verify")["ok"] is True
    own.start()
    recorder.take()
    assert own.tool(own.token(), "fails").status == 200
    assert len(recorder.take()) == 1
    until(lambda: calls_of(own, "fails") == [("call.start", "ok")])
    assert own.stop() == 0
    verified = own.ask("audit", "verify")
    assert (verified["ok"], verified["problems"]) == (True, [])


@pytest.mark.parametrize("step", steps(STEPS))
def test_a_server_killed_at_a_step_of_an_allowed_call(
    step: str, own: Installation, recorder: Recorder
) -> None:
    tool = "streams" if "stream" in step else "echo"
    got = killed_at(own, *STEPS[step], lambda: own.abandoned(own.token(), tool))
    seen = len(recorder.take())
    assert seen == (step in AFTER_THE_UPSTREAM)
    assert_clean_start(own, recorder)
    found = calls_of(own, tool)
    if step in BEFORE_THE_RECORD:
        assert found == []
    elif step == "8":
        assert found in ([], [("call.start", "outcome_unknown")])
    else:
        assert found == [("call.start", "outcome_unknown")]
    assert (b'"result"' in got) == (step == "13")


@pytest.mark.parametrize("step", DENIED)
def test_a_server_killed_at_a_step_of_a_denied_call(
    step: str, own: Installation, recorder: Recorder
) -> None:
    got = killed_at(own, *DENIED[step], lambda: own.abandoned(own.token(), "forbidden"))
    assert (got, recorder.take()) == (b"", [])
    assert_clean_start(own, recorder)
    recorded = [("authz.decision", None)]
    possible = {"7": ([],), "8": ([], recorded), "9": (recorded,)}
    assert calls_of(own, "forbidden") in possible[step]


SETTLING = "gateway/settling.py"
APPROVED = {
    "once it is used": (SETTLING, "return Settlement(consented, facts, approval)"),
    "after the call": STEPS["12"],
}
"""Where a call is killed that somebody has approved."""


@pytest.mark.parametrize("step", APPROVED)
def test_an_approval_is_never_used_twice_whatever_is_killed(
    step: str, own: Installation, recorder: Recorder
) -> None:
    with own.config.open("a") as file:
        file.write('\n[call_approvals.echo]\ntools = ["desk/echo"]\n')
    own.start()
    token = own.token()
    url = own.tool(token, "echo").error["data"]["url"]
    own.ask("approvals", "approve", url.rpartition("/")[2])
    assert own.stop() == 0
    killed_at(own, *APPROVED[step], lambda: own.abandoned(token, "echo"))
    sent = len(recorder.take())
    assert sent == (step == "after the call")

    own.start()
    assert own.tool(token, "echo").error["data"]["url"] != url
    assert recorder.take() == []
    assert own.stop() == 0
    started = [it for it in calls_of(own, "echo") if it[0] == "call.start"]
    assert started == [("call.start", "outcome_unknown")] * sent
    assert own.ask("audit", "verify")["ok"] is True
