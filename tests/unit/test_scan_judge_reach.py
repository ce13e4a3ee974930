"""The same behaviour weighs more the further a server is reached."""

from __future__ import annotations

import asyncio

import pytest

from bascule.scan.eras import discover
from bascule.scan.finding import Finding
from bascule.scan.judge.serving import judge_cleartext
from bascule.scan.place import Answered, Place
from bascule.scan.probed import Identity
from bascule.scan.scope import Scope
from bascule.scan.target import Target
from bascule.scan.wire import Wire


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
