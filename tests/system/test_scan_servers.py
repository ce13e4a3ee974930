"""The prober and its commands against real servers: the `mcp` SDK in all its ways."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.scan.probed import Probed
from bascule.scan.prober import probe
from bascule.scan.target import Target
from canned import wired
from system import mcp_server


def probed(url: str) -> Probed:
    async def run() -> Probed:
        async with wired() as wire:
            return await probe(wire, Target.of_url(url), judges=())

    return asyncio.run(run())


def scan(*words: str) -> Result:
    return CliRunner().invoke(main, ["scan", *words])


@pytest.fixture(scope="module")
def hall() -> Iterator[int]:
    """Give the port of a server that speaks both eras."""
    with mcp_server.running("both") as port:
        yield port


def check_hall(port: int, era: str) -> None:
    url = f"http://127.0.0.1:{port}/mcp"
    there = probed(url)
    assert there.server.state == "open"
    assert (there.server.name, there.server.url) == ("hall", url)
    assert there.identity is not None
    assert there.identity.era == era
    assert there.identity.instructions == "Mind the step."
    names = [it["name"] for it in there.identity.lists["tools/list"]]
    assert "echo" in names
    assert len(there.identity.lists["prompts/list"]) == 1
    walked = probed(f"http://127.0.0.1:{port}")
    assert (walked.server.url, walked.others) == (url, ())


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_finds_servers_of_the_sdk_that_speak_one_era(era: str) -> None:
    with mcp_server.running(era) as port:
        check_hall(port, era)


def test_finds_a_server_of_the_sdk_that_speaks_both_eras(hall: int) -> None:
    check_hall(hall, "modern")


def test_finds_a_server_of_the_sdk_that_has_no_sessions() -> None:
    with mcp_server.running("legacy", stateless_http=True, json_response=True) as port:
        there = probed(f"http://127.0.0.1:{port}/mcp")
        assert there.server.state == "open"
        assert there.identity is not None
        assert there.identity.session_ids == ()
        assert there.identity.lists["tools/list"]


def test_finds_a_server_of_the_sdk_that_speaks_http_and_sse() -> None:
    with mcp_server.running("sse") as port:
        for url in (f"http://127.0.0.1:{port}/sse", f"http://127.0.0.1:{port}"):
            there = probed(url)
            assert (there.server.state, there.server.transport) == ("open", "sse")
            assert there.server.name == "hall"
            assert there.identity is not None
            assert there.identity.lists["tools/list"]


def test_scan_url_has_a_row_for_each_url_and_finds_what_is_open(hall: int) -> None:
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        urls = [
            f"http://127.0.0.1:{quiet.getsockname()[1]}/mcp",
            f"http://127.0.0.1:{hall}/mcp",
            "http://10.255.1.2/mcp",
        ]
        result = scan("url", *urls, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [it["url"] for it in report["servers"]] == urls
    assert [it["state"] for it in report["servers"]] == ["unreachable", "open", "unknown"]
    assert {it["rule"] for it in report["findings"]} >= {"open-server"}
    assert [it["target"] for it in report["not_assessed"][:1]] == urls[:1]
    assert {it["address"] for it in report["requests"]} <= {
        f"127.0.0.1:{hall}",
        urls[0].removeprefix("http://").removesuffix("/mcp"),
    }


def test_scan_net_finds_a_server_in_a_network_of_this_machine(hall: int) -> None:
    result = scan("net", "127.0.0.0/30", "--ports", f"{hall}", "--json")
    report = json.loads(result.stdout)
    assert [it["address"] for it in report["servers"]] == [f"127.0.0.1:{hall}"]
    assert {it["address"] for it in report["requests"]} == {
        f"127.0.0.1:{hall}",
        f"127.0.0.2:{hall}",
    }
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["url", "http://10.255.1.2/mcp"], "--i-own-this"),
        (["url", "http://169.254.169.254/", "--i-own-this"], "never probed"),
        (["net", "10.255.1.0/30", "--ports", "80"], "--i-own-this"),
        (["net", "8.8.8.0/30", "--ports", "80", "--i-own-this"], "--scope FILE"),
    ],
)
def test_sends_nothing_out_of_scope_and_says_so(words: list[str], message: str) -> None:
    result = scan(*words, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["requests"] == []
    assert message in report["not_assessed"][0]["why"]
    assert message in result.stderr


def test_a_scope_file_of_nobody_stops_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "scope"
    path.write_text("10.0.0.0/8\n0.0.0.0/0\n")
    result = scan("net", "10.255.1.0/30", "--i-own-this", "--scope", str(path))
    assert result.exit_code == 3
    assert "line 2" in result.stderr
    assert "nobody owns all of that" in result.stderr


def test_a_scope_file_bounds_what_the_command_names(tmp_path: Path) -> None:
    path = tmp_path / "scope"
    path.write_text("10.0.0.0/8\n")
    result = scan("url", "http://192.168.7.7/", "--i-own-this", "--scope", str(path))
    assert result.exit_code == 2
    assert "not in the scope file" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["url"],
        ["url", "mcp"],
        ["url", "ftp://127.0.0.1/"],
        ["net", "127.0.0.1/8"],
        ["net", "10.0.0.0/8"],
        ["net", "127.0.0.0/30", "--ports", "0"],
        ["net", "127.0.0.0/30", "--ports", "9-1"],
        ["net", "127.0.0.0/30", "--rate", "0"],
    ],
)
def test_wrong_usage_is_told_from_a_finding(words: list[str]) -> None:
    assert scan(*words).exit_code == 2
