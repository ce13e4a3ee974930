"""Many targets, one report."""

from __future__ import annotations

import asyncio
import ipaddress

from bascule.scan.crowd import each
from bascule.scan.report import Report
from bascule.scan.sweep import probe_networks, probe_urls
from bascule.scan.target import Target
from canned import Heard, http, json, result, serving, wired


def tools(heard: Heard) -> bytes:
    if heard.rpc == "server/discover":
        return result(heard, {"supportedVersions": ["2026-07-28"], "capabilities": {}})
    return result(heard, {"tools": []}) if heard.rpc == "tools/list" else http("404 x")


def inspector(heard: Heard) -> bytes:
    settings = {"defaultEnvironment": {"KEY": "canary"}, "defaultArgs": ""}
    return json("200 OK", settings) if heard.path == "/config" else http("404 x")


def swept(answer: object) -> Report:
    async def run() -> Report:
        async with serving(answer) as server, wired() as wire:  # type: ignore[arg-type]
            network = ipaddress.ip_network("127.0.0.1/32")
            return await probe_networks(wire, [network], [server.port], lambda _: None)

    return asyncio.run(run())


def test_reports_what_is_mcp_in_a_network() -> None:
    report = swept(tools)
    assert [it.state for it in report.servers] == ["open"]
    assert "open-server" in {it.rule for it in report.findings}
    assert report.requests


def test_reports_what_is_wrong_with_what_is_no_mcp_in_a_network() -> None:
    """The proxy of MCP Inspector speaks no MCP by itself."""
    report = swept(inspector)
    assert report.servers == ()
    assert [it.severity for it in report.findings] == ["critical"]
    assert "canary" not in repr(report)


def test_says_nothing_of_a_web_server_but_that_it_was_asked() -> None:
    report = swept(lambda _: http("404 x"))
    assert (report.servers, report.findings, report.not_assessed) == ((), (), ())
    assert report.requests


def test_gives_rows_in_the_order_of_the_urls_also_of_one_that_is_named_twice() -> None:
    async def run() -> Report:
        async with serving(tools) as one, serving(tools) as two, wired() as wire:
            urls = [f"{two.url}/mcp", f"{one.url}/mcp", f"{two.url}/mcp"]
            targets = [Target.of_url(it) for it in urls]
            done: list[int] = []
            report = await probe_urls(wire, targets, done.append)
            assert [it.url for it in report.servers] == urls
            assert sorted(done) == [1, 2]
            return report

    asyncio.run(run())


def test_a_crowd_does_each_thing_once_and_no_more_than_some_at_a_time() -> None:
    async def run() -> None:
        now, most, done = 0, 0, list[int]()

        async def work(item: int) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            done.append(item)

        await each(iter(range(50)), work, at_once=7)
        assert sorted(done) == list(range(50))
        assert most == 7

    asyncio.run(run())
