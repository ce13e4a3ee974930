"""Asking sockets that the tests open; no others are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import canned
from bascule.scan.endpoints import MOST_ADDRESSES, Endpoint, bound, endpoints
from bascule.scan.interfaces import OwnAddress
from bascule.scan.local_view import Listener, Process
from bascule.scan.named import Named
from bascule.scan.sockets import Probes, ask_all, is_unclear
from certificates import new_authority

pytestmark = pytest.mark.anyio

LOOPBACK = OwnAddress("lo", "127.0.0.1", "127.0.0.0/8", "loopback")
LAN = OwnAddress("eth0", "10.0.0.1", "10.0.0.0/24", "private")
LAN_V6 = OwnAddress("eth0", "fd00::1", "fd00::/64", "private")
V6 = OwnAddress("lo", "::1", "::1/128", "loopback")
OWN = (LOOPBACK, V6, LAN, LAN_V6)
ANY, ANY_V6 = "0.0.0.0", "::"  # noqa: S104 - compared, not bound
INFO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "x", "version": "1"},
}


def greet(heard: canned.Heard) -> bytes:
    """Answer as an MCP server of the older revisions at `/mcp`."""
    if heard.path == "/mcp" and heard.rpc == "initialize":
        return canned.result(heard, INFO)
    if heard.path == "/mcp" and heard.method == "POST" and heard.id is not None:
        return canned.error(heard, -32601)
    return canned.http("404 Not Found")


async def ask(*ports: int, named: Sequence[Named] = ()) -> list[Probes]:
    places = [Endpoint(Listener("127.0.0.1", port, 0, None), (LOOPBACK,)) for port in ports]
    told: list[tuple[int, int]] = []
    async with canned.wired() as wire:
        found = await ask_all(
            wire, places, named, lambda _place, probes: probes, lambda *it: told.append(it)
        )
    assert told == [(at + 1, len(ports)) for at in range(len(ports))]
    return found


def state(probes: Probes) -> str:
    ((_address, probed),) = probes
    return probed.server.state


async def test_an_mcp_server_is_told_from_a_web_server() -> None:
    async with (
        canned.serving(greet) as mcp,
        canned.serving(lambda _heard: canned.http("404 Not Found")) as web,
    ):
        one, other = await ask(mcp.port, web.port)
    assert one[0][1].identity is not None
    assert (state(other), is_unclear(other)) == ("not_mcp", False)


async def test_one_that_never_answers_is_asked_twice_and_left_open() -> None:
    async with canned.serving(lambda _heard: None) as silent:
        (probes,) = await ask(silent.port)
    assert is_unclear(probes)
    assert [it.rpc for it in silent.heard] == ["server/discover"] * 2


async def test_one_that_is_slow_at_first_is_not_lost() -> None:
    """It sleeps through the first question; what it is asked then it answers."""

    def drowsy(heard: canned.Heard) -> bytes | None:
        return None if len(server.heard) == 1 else greet(heard)

    async with canned.serving(drowsy) as server:
        (probes,) = await ask(server.port)
    assert probes[0][1].identity is not None


async def test_what_speaks_no_http_costs_one_connection() -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await reader.read(1000)

    async with canned.talking(banner) as ssh:
        (probes,) = await ask(ssh.port)
    assert (state(probes), is_unclear(probes), ssh.connections) == ("not_mcp", False, 1)


async def test_a_server_behind_tls_is_found(tmp_path: Path) -> None:
    context = new_authority().server(tmp_path, "localhost")
    async with canned.serving(greet, context) as server:
        (probes,) = await ask(server.port)
    identity = probes[0][1].identity
    assert identity is not None
    assert identity.url == f"https://127.0.0.1:{server.port}/mcp"


async def test_one_that_knows_itself_as_localhost_alone_is_found() -> None:
    """It refuses the name 127.0.0.1, and answers whoever calls it `localhost`."""

    def picky(heard: canned.Heard) -> bytes:
        is_known = heard.headers["host"].startswith("localhost")
        return greet(heard) if is_known else canned.http("403 Forbidden")

    async with canned.serving(picky) as server:
        (probes,) = await ask(server.port)
    identity = probes[0][1].identity
    assert identity is not None
    assert identity.url == f"http://localhost:{server.port}/mcp"


async def test_a_path_that_a_file_names_is_asked_and_its_secret_is_not_sent() -> None:
    def elsewhere(heard: canned.Heard) -> bytes:
        here = heard.path == "/team/tools"
        return greet(replace(heard, path="/mcp" if here else "/nowhere"))

    async with canned.serving(elsewhere) as server:
        urls = [
            f"http://u:S3CRET@localhost:{server.port}/team/tools?key=S3CRET",
            f"http://localhost:{server.port}/S3CRETcanary0123456789abcdef/mcp",
            "http://localhost:1/other",
        ]
        (probes,) = await ask(server.port, named=[Named(name="x", url=it) for it in urls])
    assert probes[0][1].identity is not None
    asked = {it.path for it in server.heard}
    assert "/team/tools" in asked
    assert not {"/other"} & asked
    assert "S3CRET" not in str(server.heard)


def addresses(*listeners: Listener) -> list[tuple[str, ...]]:
    found, _gaps = endpoints(listeners, OWN)
    return [tuple(it.address for it in each.addresses) for each in found]


def test_a_socket_is_asked_at_what_it_is_bound_to() -> None:
    assert addresses(Listener("10.0.0.1", 80, 0, None)) == [("10.0.0.1",)]
    assert addresses(Listener("127.0.0.9", 80, 0, None)) == [("127.0.0.9",)]
    assert addresses(Listener(ANY, 80, 0, None)) == [("127.0.0.1", "10.0.0.1")]
    every = tuple(it.address for it in OWN)
    assert addresses(Listener(ANY_V6, 80, 0, None)) == [every]


def test_a_port_that_has_a_socket_for_each_version_is_asked_once_at_each_address() -> None:
    both = (Listener(ANY, 80, 0, None), Listener(ANY_V6, 80, 0, None))
    assert addresses(*both) == [("127.0.0.1", "10.0.0.1"), ("::1", "fd00::1")]


def test_sockets_of_one_process_at_one_port_are_one_server() -> None:
    """As of a program that listens on `localhost`; of two processes they stay two."""
    one, other = Process(7, 1, 0, ("x",)), Process(8, 1, 0, ("x",))
    v4, v6 = (Listener(it, 80, 0, one) for it in ("127.0.0.1", "::1"))
    (found,), _gaps = endpoints([v6, v4], OWN)
    assert [it.address for it in found.addresses] == ["127.0.0.1", "::1"]
    assert (found.listener, found.also) == (v6, (v4,))
    assert len(addresses(v4, Listener("::1", 80, 0, other))) == 2


def test_an_address_with_a_socket_of_its_own_leads_to_that_one() -> None:
    both = (Listener("127.0.0.1", 80, 0, None), Listener(ANY, 80, 0, None))
    assert addresses(*both) == [("127.0.0.1",), ("10.0.0.1",)]


def test_a_socket_that_no_address_leads_to_is_said_to_be_so() -> None:
    found, (gap,) = endpoints([Listener(ANY, 80, 0, None)], ())
    assert found == []
    assert "no address" in gap.why


def test_sockets_that_share_an_address_are_one() -> None:
    assert len(addresses(*(Listener("127.0.0.1", 80, 0, None) for _ in range(4)))) == 1


def test_a_link_local_address_keeps_its_zone() -> None:
    own = (OwnAddress("eth0", "fe80::1", "fe80::/64", "link_local"),)
    found, _gaps = endpoints([Listener("fe80::1", 80, 0, None)], own)
    assert found[0].addresses[0].connectable == "fe80::1%eth0"


def test_no_more_addresses_are_asked_than_are_allowed_and_that_is_said() -> None:
    own = tuple(
        OwnAddress("br0", f"10.0.{at // 250}.{at % 250}", "10.0.0.0/8", "private")
        for at in range(MOST_ADDRESSES + 1)
    )
    _found, gaps = endpoints([Listener(ANY, 80, 0, None)], own)
    assert [it.what for it in gaps] == ["1 of its addresses"]


def test_sockets_of_another_network_namespace_are_told_by_their_container() -> None:
    process = Process(7, 1, 0, ("x",), container="docker:4f1d4f1d4f1d")
    inner = [Listener("127.0.0.1", port, 0, process, network=9) for port in (81, 80)]
    found, (gap,) = endpoints(inner, OWN)
    assert found == []
    assert gap.target == "docker:4f1d4f1d4f1d"
    assert "127.0.0.1:80, 127.0.0.1:81" in gap.what
    assert "nsenter --target 7 --net" in gap.why


def test_an_address_is_written_with_its_port() -> None:
    assert bound(Listener("::1", 80, 0, None)) == "[::1]:80"
