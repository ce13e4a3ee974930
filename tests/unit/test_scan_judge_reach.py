"""The same behaviour weighs more the further a server is reached."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bascule.scan.eras import discover
from bascule.scan.finding import Finding
from bascule.scan.judge.metadata import judge_metadata
from bascule.scan.judge.serving import judge_cleartext
from bascule.scan.place import Answered, Place
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.scope import Scope
from bascule.scan.target import Target
from bascule.scan.wire import Wire
from twins.server import RESOURCE as DOCUMENT
from twins.server import twin


def reached_at(address: str, *, secure: bool = False) -> Identity:
    host, _, port = address.rpartition(":")
    place = Place(host.strip("[]"), int(port), secure, (host.strip("[]"),))
    return Identity(
        target=Target(host=place.host, port=place.port, secure=secure),
        place=place,
        path="/mcp",
        state="open",
        era="modern",
        greeting=discover("/mcp"),
        baseline=Answered(200, [], b"", "", None, address),
    )


def severities(identity: Identity) -> list[str]:
    verdict = asyncio.run(judge_cleartext(Wire(scope=Scope()), identity))
    return [it.severity for it in verdict if isinstance(it, Finding)]


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "127.9.9.9:80", "[::1]:8000"])
def test_cleartext_on_loopback_is_only_said(address: str) -> None:
    assert severities(reached_at(address)) == ["info"]


@pytest.mark.parametrize(
    "address", ["10.0.0.5:8000", "[fd00::5]:8000", "169.254.3.4:80", "198.51.100.7:80"]
)
def test_cleartext_beyond_is_a_finding(address: str) -> None:
    assert severities(reached_at(address)) == ["high"]


def test_with_tls_there_is_none() -> None:
    assert severities(reached_at("10.0.0.5:8443", secure=True)) == []


def asked_by(identity: Identity) -> list[Finding | Gap]:
    async def run() -> list[Finding | Gap]:
        wire = Wire(scope=Scope())
        try:
            return await judge_metadata(wire, identity)
        finally:
            wire.close()

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"])
def test_a_server_elsewhere_does_not_aim_the_scan_at_its_own_machine(host: str) -> None:
    """Loopback is in the scope of each scan, and a stranger's metadata name it."""
    with twin() as neighbour:
        address = f"http://{host}:{neighbour.port}{DOCUMENT}"
        identity = replace(
            reached_at("10.0.0.5:8000"),
            state="token_required",
            era=None,
            challenges=(f'Bearer resource_metadata="{address}"',),
        )
        verdict = asked_by(identity)
        assert neighbour.seen == []
    assert [it.rule for it in verdict if isinstance(it, Finding)] == [
        "metadata-points-inward"
    ]
    assert [it for it in verdict if isinstance(it, Gap)]


def test_one_on_loopback_may_name_a_neighbour() -> None:
    with twin() as neighbour:
        identity = replace(
            reached_at("127.0.0.1:8000"),
            state="token_required",
            era=None,
            challenges=(f'Bearer resource_metadata="{neighbour.origin}{DOCUMENT}"',),
        )
        asked_by(identity)
        assert neighbour.seen
