"""A long loop of sessions that end in every way: nothing of them stays behind."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from system.legacy_client import LegacyClient
from system.lodge import lodging
from system.recorder import Recorder
from system.server import Installation, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

ROUNDS = 5000
WARM = 1000
"""Rounds after which memory may grow no more than `GROWTH_KIB`."""
GROWTH_KIB = 16 << 10
FILES = 20


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
