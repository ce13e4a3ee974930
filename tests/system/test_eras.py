"""Which eras an upstream speaks: how that is learnt, and what clients are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import until
from ports import free_ports
from system.legacy_client import LegacyClient
from system.lodge import begun, lodging
from system.mcp_server import running
from system.recorder import Recorder
from system.server import Answer, Installation, serving


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[tuple[Installation, Recorder]]:
    with lodging(tmp_path_factory.mktemp("lodge"), recorder) as made:
        yield made


def discover(bascule: Installation, connector: str) -> Answer:
    token = bascule.token("alice", connector)
    return bascule.call(token, "server/discover", connector=connector)


def test_an_older_server_is_asked_by_bascule_itself_and_then_known(
    house: tuple[Installation, Recorder],
) -> None:
    bascule, lodge = house
    lodge.take()
    answer = discover(bascule, "lodge")
    assert (answer.status, answer.error["code"], answer.json["id"]) == (400, 400, 7)
    data = {"supported": ["2025-11-25"], "requested": "2026-07-28"}
    assert answer.error["data"] == data
    relayed, *own = lodge.take()
    assert "user-agent" not in relayed.headers
    assert [it.head.split(b" ")[0] for it in own] == [b"POST", b"POST", b"DELETE"]
    for asked in own:
        assert asked.headers["user-agent"].startswith("bascule-probe/")
        assert b"alice" not in asked.raw
    assert own[1].params["capabilities"] == {}
    token = bascule.token("alice", "lodge")
    for method, params in (
        ("server/discover", {}),
        ("tools/list", {}),
        ("tools/call", {"name": "echo", "arguments": {}}),
    ):
        again = bascule.call(token, method, params, connector="lodge")
        assert (again.status, again.error) == (400, answer.error)
    assert lodge.take() == []
    assert begun(bascule).tool("echo").status == 200


def test_what_is_not_forwarded_is_recorded_as_refused(
    house: tuple[Installation, Recorder],
) -> None:
    bascule, _ = house
    discover(bascule, "barn")
    discover(bascule, "barn")
    wanted = ("--connector", "barn", "--user", "alice", "--type", "call.end")
    bascule.wait_for_records(*wanted, count=2)
    outcomes = [
        it["result"]["outcome"]
        for it in bascule.whole_records()
        if "result" in it and it["connector"] == "barn" and it["user"] == {"sub": "alice"}
    ]
    assert outcomes == ["refused", "refused"]


def test_no_client_makes_a_server_seem_other_than_it_is(
    house: tuple[Installation, Recorder],
) -> None:
    """A client whose beginning is refused says nothing about the server."""
    bascule, lodge = house
    lodge.take()
    for _ in range(3):
        client = LegacyClient(bascule, bascule.token("bob", "barn"), "barn")
        refused = client.initialize(name="unwanted")
        assert (refused.status, refused.error["code"]) == (400, -32602)
    assert begun(bascule, "bob", "barn").tool("echo").status == 200
    asked = [it for it in lodge.take() if "user-agent" in it.headers]
    assert len(asked) <= 3


def test_a_server_that_is_upgraded_is_found_to_be(
    tmp_path: Path, recorder: Recorder
) -> None:
    """Its sessions are over; the next beginning is told what is spoken now."""
    (port,) = free_ports(1)
    more = f'[connectors.hall]\nmode = "observe"\nurl = "http://127.0.0.1:{port}/mcp"\n'
    with serving(tmp_path / "made", recorder, more=more) as bascule:
        client = LegacyClient(bascule, bascule.token("alice", "hall"), "hall")
        with running("legacy", port=port):
            assert client.initialize().status == 200
            assert client.call("tools/list").status == 200
        with running("modern", port=port):
            # The first request may meet a connection of the server that is gone.
            until(lambda: client.call("tools/list").status == 400)
            refused = client.initialize()
            assert (refused.status, refused.error["code"]) == (400, -32022)
            data = {"supported": ["2026-07-28"], "requested": "2025-11-25"}
            assert refused.error["data"] == data
            assert client.session is None
            assert discover(bascule, "hall").status == 200
        client.session = "any"
        assert client.verb("GET").status == 404
