"""From outside of a connector's networks it does not exist, whatever is asked and how."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from patience import until
from system.legacy_client import LegacyClient
from system.legacy_recorder import LegacyServer
from system.recorder import Recorder, recording
from system.server import Answer, Installation, body_of, headers_of, install

INSIDE, OUTSIDE = "127.0.0.2", "127.0.0.3"
BOUNDARY = f'boundary = {{ reachable_from = ["{INSIDE}/32"] }}\n'
ASKED: dict[str, dict[str, Any]] = {
    "server/discover": {},
    "tools/list": {},
    "tools/call": {"name": "echo", "arguments": {}},
    "prompts/list": {},
    "prompts/get": {"name": "greeting"},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "note:1"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "greeting"}},
    "subscriptions/listen": {"notifications": {}},
    "no/such-method": {},
}


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway of which `desk` and `old` are for one address, and `gone` is gone."""

    bascule: Installation
    gone: str
    """Token for that."""

    def at(self, address: str) -> Installation:
        """Come from an address."""
        self.bascule.source = address
        return self.bascule

    def session(self, connector: str = "old") -> LegacyClient:
        """Begin a session from inside."""
        bascule = self.at(INSIDE)
        client = LegacyClient(bascule, bascule.token(connector=connector), connector)
        assert client.initialize().status == 200
        return client

    def refused(self) -> list[str]:
        """Give what was refused for being outside, oldest first."""
        found = self.bascule.records("--connector", "old")
        return [it["method"] for it in found if it["reason"] == "outside_boundary"]


@pytest.fixture(scope="module")
def old_server() -> Iterator[Recorder]:
    with recording(LegacyServer()) as made:
        yield made


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, old_server: Recorder
) -> Iterator[Place]:
    made = install(tmp_path_factory.mktemp("boundary"), recorder)
    old = f'url = "http://127.0.0.1:{old_server.port}/mcp"\nmode = "observe"\n'
    text = made.config.read_text().replace(
        "[connectors.desk]\n",
        f"[connectors.old]\n{BOUNDARY}{old}[connectors.desk]\n{BOUNDARY}",
    )
    text = text.replace('"annex/*"', '"annex/*", "old/*"')
    made.config.write_text(f"{text}\n[connectors.gone]\n{old}")
    gone = made.token(connector="gone")
    made.config.write_text(text)
    made.start()
    yield Place(made, gone)
    made.kill()


def answer(bascule: Installation, token: str, connector: str, method: str) -> Answer:
    return bascule.call(token, method, ASKED[method], connector=connector)


def without_code(answer: Answer) -> tuple[int, list[str], bytes]:
    code = answer.error["data"]["code"].encode()
    return answer.status, sorted(answer.headers), answer.body.replace(code, b"CODE")


@pytest.mark.parametrize("method", ASKED)
def test_from_outside_it_answers_like_one_that_is_gone(
    method: str, place: Place, upstream: Recorder
) -> None:
    desk = place.at(OUTSIDE)
    outside = answer(desk, desk.token(), "desk", method)
    assert without_code(outside) == without_code(answer(desk, place.gone, "gone", method))
    assert outside.status in {400, 404}
    assert upstream.take() == []


def test_from_inside_it_is_there(place: Place, upstream: Recorder) -> None:
    desk = place.at(INSIDE)
    assert desk.tool(desk.token(), "echo", text="hello").status == 200
    assert answer(desk, desk.token(), "desk", "tools/list").status == 200
    assert len(upstream.take()) == 2


def test_others_are_there_for_both(place: Place) -> None:
    for address in (INSIDE, OUTSIDE, ""):
        annex = place.at(address)
        token = annex.token(connector="annex")
        assert answer(annex, token, "annex", "tools/list").status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_what_a_client_says_of_its_address_opens_nothing(
    header: str, place: Place, upstream: Recorder
) -> None:
    desk = place.at(OUTSIDE)
    body = body_of("tools/list")
    said = f"for={INSIDE}" if header == "Forwarded" else INSIDE
    headers = {**headers_of(body, desk.token()), header: said}
    assert desk.send(body, headers).error["message"] == "unknown connector"
    assert upstream.take() == []


def test_a_refusal_is_recorded_with_its_address_and_can_be_looked_up(place: Place) -> None:
    desk = place.at(OUTSIDE)
    code = desk.tool(desk.token(), "echo").error["data"]["code"]
    until(lambda: desk.cli("decide", "--code", code).stdout != "")
    assert desk.cli("decide", "--code", code).stdout.startswith("deny: outside_boundary")
    (record,) = (it for it in desk.whole_records() if it.get("code") == code)
    assert record["src"]["ip"] == OUTSIDE
    assert record["user"]["sub"] == "alice"


def test_the_doctor_says_that_it_is_outside(place: Place) -> None:
    result = place.bascule.cli("doctor", "--connector", "desk", "--json")
    assert result.exit_code == 0
    last = json.loads(result.stdout)["checks"][-1]
    assert (last["check"], last["ok"]) == ("boundary", True)
    assert "`boundary.reachable_from`" in last["found"]


def test_who_has_no_token_learns_nothing_either_way(place: Place) -> None:
    answers = [place.at(it).call(None, "tools/list") for it in (INSIDE, OUTSIDE)]
    assert [it.status for it in answers] == [401, 401]
    assert answers[0].body == answers[1].body


def test_a_session_cannot_be_begun_from_outside(place: Place, old_server: Recorder) -> None:
    old_server.take()
    bascule = place.at(OUTSIDE)
    outside = LegacyClient(bascule, bascule.token(connector="old"), "old")
    gone = LegacyClient(bascule, place.gone, "gone")
    found = [without_code(it.initialize()) for it in (outside, gone)]
    assert found[0] == found[1]
    assert outside.session is None
    assert old_server.take() == []


def test_a_session_from_inside_is_of_no_use_outside(
    place: Place, old_server: Recorder
) -> None:
    client = place.session()
    old_server.take()
    place.at(OUTSIDE)
    for method in ("tools/list", "ping"):
        assert client.call(method).error["code"] == -32602
    assert client.tool("echo").error["message"] == "unknown tool"
    for status in (
        client.notify("notifications/initialized").status,
        client.verb("GET").status,
        client.verb("DELETE").status,
    ):
        assert status == 404
    assert old_server.take() == []
    asked = ["tools/list", "ping", "tools/call", "notifications/initialized"]
    until(lambda: place.refused()[-6:] == [*asked, "subscriptions/listen", "DELETE"])
    place.at(INSIDE)  # and it goes on there as if nothing had been
    assert client.tool("echo").status == 200


def test_a_stream_ends_when_its_client_comes_to_be_outside(
    place: Place, upstream: Recorder
) -> None:
    desk = place.at(INSIDE)
    stream = desk.stream(desk.token(), "subscriptions/listen", {"notifications": {}}, "sub")
    client = place.session()
    text = desk.config.read_text()
    with stream, client.listen() as old:
        stream.expect()
        desk.config.write_text(text.replace(f"{INSIDE}/32", f"{OUTSIDE}/32"))
        try:
            reload(desk)
            for one in (stream, old):
                while one.next() is not None:
                    pass  # what was said before
            assert desk.call(desk.token(), "tools/list").status == 400
            other = place.at(OUTSIDE)
            assert other.call(other.token(), "tools/list").status == 200
        finally:
            desk.config.write_text(text)
            reload(desk)
    desk.wait_for_records("--type", "policy.reload", count=2)
    widened = desk.whole_records()
    said = {it["admin"].get("widens") for it in widened if it["type"] == "policy.reload"}
    assert f"`desk` may be used from {OUTSIDE}/32" in str(said)


def reload(bascule: Installation) -> None:
    seen = bascule.log.count("configuration reloaded")
    bascule.signal(signal.SIGHUP)
    until(lambda: bascule.log.count("configuration reloaded") > seen)
