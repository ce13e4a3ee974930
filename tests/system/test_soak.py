"""Long loops: a server killed at any line of a call, and at any moment under load."""

from __future__ import annotations

import contextlib
import http.client
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import until
from system.recorder import Recorder
from system.server import COMMAND, Installation, install

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

LINES_LEFT_OUT = 6
ROUNDS = 40
TOOLS = ("echo", "streams", "fails", "forbidden")
FILE_OF_KEPT = "kept-checkpoint"


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    recorder.take()
    made = install(tmp_path, recorder, more="in_flight = 100")
    yield made
    made.kill()


class Log:
    """What was once in the log; none of it may change or go."""

    def __init__(self, own: Installation) -> None:
        self._own = own
        self._ids: list[str] = []
        self._kept = own.folder / FILE_OF_KEPT

    def check(self) -> None:
        """See that all is still there that was there, and keep what is there now."""
        kept = ["--checkpoint", str(self._kept)] if self._kept.exists() else []
        verified = self._own.ask("audit", "verify", *kept)
        assert (verified["ok"], verified["problems"]) == (True, [])
        ids = [it["id"] for it in self._own.records()]
        assert ids[: len(self._ids)] == self._ids
        self._ids = ids
        checkpoint = self._own.data / "audit" / "checkpoint"
        if checkpoint.exists():
            self._kept.write_bytes(checkpoint.read_bytes())

    def assert_closed(self, seen: int) -> None:
        """See a decided record for each call that came upstream, and an end for each."""
        until(lambda: self._open() == set())
        started = [it for it in self._own.whole_records() if it["type"] == "call.start"]
        assert seen <= len(started)
        assert len({it["id"] for it in started}) == len(started)

    def _open(self) -> set[str]:
        records = self._own.whole_records()
        started = {it["id"] for it in records if it["type"] == "call.start"}
        return started - {it["parent"] for it in records if "parent" in it}


def survived(own: Installation, token: str, tool: str) -> bool:
    """Make a call; tell whether it was answered to the end."""
    try:
        with contextlib.closing(own.abandoned(token, tool)) as connection:
            connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    return True


@pytest.mark.parametrize("tool", TOOLS)
def test_a_server_killed_at_any_line_of_a_call(
    tool: str, own: Installation, recorder: Recorder
) -> None:
    """One line after another, some left out, until two calls survive them all."""
    script = str(Path(__file__).with_name("breakpoint.py"))
    log, seen, line = Log(own), 0, 0
    alive = False
    while not alive:
        line += 1 + LINES_LEFT_OUT
        own.command = [sys.executable, script, "gateway", str(line)]
        own.start()
        token = own.token()
        # The second since the last lines of the first run when it is answered already.
        alive = survived(own, token, tool) and survived(own, token, tool)
        assert own.process is not None
        assert alive or own.process.wait(10) == -9
        own.kill()
        seen += sum(it.params.get("name") == tool for it in recorder.take())
        log.check()
    own.command = list(COMMAND)
    own.start()
    log.assert_closed(seen)
    assert own.stop() == 0
    log.check()
    assert line > 100


@contextlib.contextmanager
def loading(own: Installation) -> Iterator[Counter[str]]:
    """Have clients call without a pause; gives how many calls of a tool were answered.

    Each ends with its first call that fails: one that goes on connecting to a port where
    nobody listens may be connected to itself, and hold the port.
    """
    token, stop, counts = own.token(), threading.Event(), Counter[str]()

    def call(tool: str) -> None:
        while not stop.is_set() and survived(own, token, tool):
            counts[tool] += 1

    threads = [threading.Thread(target=call, args=(tool,)) for tool in TOOLS * 2]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_server_killed_at_any_moment_under_load(
    own: Installation, recorder: Recorder
) -> None:
    """Eight clients that call without a pause; the moments are drawn, from a known seed."""
    drawn = random.Random(20260728)  # noqa: S311 - moments, no secrets
    log, seen, answered = Log(own), 0, 0
    for _ in range(ROUNDS):
        own.start()
        with loading(own) as counts:
            recorder.wait()
            threading.Event().wait(drawn.uniform(0, 0.4))
            own.kill()
        answered += sum(counts[tool] for tool in TOOLS if tool != "forbidden")
        seen += len(recorder.take())
        assert answered <= seen
        log.check()
    own.start()
    log.assert_closed(seen)
    assert own.stop() == 0
    log.check()
