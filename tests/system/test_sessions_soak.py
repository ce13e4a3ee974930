"""A long loop of sessions that end in every way: nothing of them stays behind."""

from __future__ import annotations

import http.client
import random
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from patience import until
from system.legacy_client import LegacyClient
from system.lodge import lodging
from system.recorder import Received, Recorder
from system.server import COMMAND, Installation
from system.test_soak import Log

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

ROUNDS = 5000
WARM = 1000
"""Rounds after which memory may grow no more than `GROWTH_KIB`."""
GROWTH_KIB = 16 << 10
FILES = 20
LINES_LEFT_OUT = 40


def answers(client: LegacyClient) -> None:
    with client.stream("asks") as stream:
        client.reply(stream.expect().json["id"], {"action": "accept"})
        assert stream.next() is not None


def leaves_an_ask(client: LegacyClient) -> None:
    with client.stream("asks") as stream:
        stream.expect()


def listens(client: LegacyClient) -> None:
    with client.listen() as stream:
        stream.expect()


def resumes(client: LegacyClient) -> None:
    with client.stream("suspends") as stream:
        place = stream.expect().id
    with client.listen(place) as stream:
        stream.expect()


def fails(client: LegacyClient) -> None:
    for tool in ("garbage", "foreign_id", "refuses", "forgets"):
        assert client.tool(tool).status in {404, 502}


def calls(client: LegacyClient) -> None:
    assert client.tool("echo").status == 200


LIVES: list[Callable[[LegacyClient], None]] = [
    answers,
    leaves_an_ask,
    listens,
    resumes,
    fails,
    calls,
]


def memory_kib(own: Installation) -> int:
    assert own.process is not None
    lines = Path(f"/proc/{own.process.pid}/status").read_text().splitlines()
    return next(int(it.split()[1]) for it in lines if it.startswith("VmRSS"))


def open_files(own: Installation) -> int:
    assert own.process is not None
    return sum(1 for _ in Path(f"/proc/{own.process.pid}/fd").iterdir())


def in_flight(own: Installation) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{own.admin}/metrics") as response:
        lines = response.read().decode().splitlines()
    return next(
        float(it.split()[1]) for it in lines if it.startswith("bascule_requests_in_flight ")
    )


def test_nothing_of_a_session_stays_behind(tmp_path: Path, recorder: Recorder) -> None:
    chance = random.Random(20251125)  # noqa: S311 - the same lives each time
    with lodging(tmp_path / "made", recorder) as (own, lodge):
        tokens: list[str] = []
        warm = files = 0
        for number in range(ROUNDS):
            if number % 500 == 0:
                tokens = [own.token(user, "lodge") for user in ("alice", "bob")]
                lodge.take()
            if number == WARM:
                warm, files = memory_kib(own), open_files(own)
            client = LegacyClient(own, tokens[number % 2], "lodge")
            assert client.initialize().status == 200
            chance.choice(LIVES)(client)
            if chance.random() < 0.5:
                assert client.verb("DELETE").status in {204, 404}
        until(lambda: in_flight(own) == 0)
        assert memory_kib(own) - warm < GROWTH_KIB
        assert open_files(own) - files < FILES
        assert own.stop() == 0
        verified = own.ask("audit", "verify")
        assert (verified["ok"], verified["problems"]) == (True, [])


def lived(own: Installation, token: str) -> bool:
    """Live a whole session; tell whether the server did too."""
    client = LegacyClient(own, token, "lodge")
    try:
        client.initialize()
        client.notify("notifications/initialized")
        answers(client)
        return client.verb("DELETE").status == 204
    except (OSError, http.client.HTTPException, AssertionError):
        return False


def type_of(sent: Received) -> str:
    """Give the type of the record that must be there for what came upstream."""
    if sent.head.startswith(b"DELETE"):
        return "session.end"
    method = sent.message.get("method")
    if method is None:
        return "answer"
    if sent.message.get("id") is None:
        return "notification"
    return "list" if method == "initialize" else "call.start"


def test_a_server_killed_at_any_line_of_a_session(
    tmp_path: Path, recorder: Recorder
) -> None:
    """Whatever came upstream is in the log, and what began has ended."""
    script = str(Path(__file__).with_name("breakpoint.py"))
    with lodging(tmp_path / "made", recorder) as (own, lodge):
        own.kill()
        log, seen, line = Log(own), Counter[str](), 0
        alive = False
        while not alive:
            line += 1 + LINES_LEFT_OUT
            own.command = [sys.executable, script, "gateway", str(line)]
            own.start()
            token = own.token("alice", "lodge")
            # The second since the last lines of the first run when it is answered already.
            alive = lived(own, token) and lived(own, token)
            own.kill()
            seen.update(type_of(sent) for sent in lodge.take())
            log.check()
        own.command = list(COMMAND)
        own.start()
        log.assert_closed(seen["call.start"])
        written = Counter(it["type"] for it in own.whole_records())
        assert {it: count for it, count in seen.items() if written[it] < count} == {}
        assert own.stop() == 0
        log.check()
        assert line > 1000
