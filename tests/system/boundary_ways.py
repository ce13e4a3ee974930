"""Servers in a network namespace, each asked around Bascule; prints what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.app.vantages import dial_of
from bascule.clock import system_clock, system_entropy
from bascule.config.model import VantagePoint
from bascule.scan.boundary import Judged, Outward, judge_remote
from bascule.scan.bypass import DialFrom, ways_around
from bascule.scan.dialler import Dial
from bascule.scan.interfaces import own_addresses
from bascule.scan.vantage_identity import tls_of
from bascule.scan.vantage_relay import Relay
from twins.server import Twin, twin

CARD, OTHER = "10.77.0.5", "10.78.0.5"
"""Addresses of the namespace's own interfaces."""
CASES = {
    "everywhere": Twin(address="0.0.0.0", token=False),  # noqa: S104 - in its own network
    "everywhere, older": Twin(address="0.0.0.0", token=False, era="legacy"),  # noqa: S104
    "everywhere, sse": Twin(address="0.0.0.0", token=False, era="sse"),  # noqa: S104
    "loopback": Twin(token=False),
    "one card": Twin(address=CARD, token=False, checks_host=False),
    "token": Twin(address="0.0.0.0"),  # noqa: S104
    "token, older": Twin(address="0.0.0.0", era="legacy"),  # noqa: S104
    "any token": Twin(address="0.0.0.0", takes="any"),  # noqa: S104
    "says who it is": Twin(address="0.0.0.0", tells=True),  # noqa: S104
}


def judged(url: str) -> Judged:
    tried = asyncio.run(ways_around(url, own_addresses()))
    return judge_remote("desk", tried, Outward(enclosed=False, remote=True))


@contextlib.asynccontextmanager
async def vantage_point(
    folder: Path, key: Ed25519PrivateKey, told: list[dict[str, object]]
) -> AsyncIterator[DialFrom]:
    """Run one at the other interface, which lets on to be another machine."""
    relay = Relay(
        paired=key.public_key().public_bytes_raw(),
        is_own=lambda address: address == OTHER,
        record=told.append,
        clock=system_clock,
        entropy=system_entropy,
    )
    tls, fingerprint = tls_of(
        folder / "vantage", now=system_clock(), entropy=system_entropy
    )
    async with await relay.listen(OTHER, 0, tls) as server:
        port = server.sockets[0].getsockname()[1]
        point = VantagePoint(f"{OTHER}:{port}", fingerprint)
        yield lambda targets: dial_of(point, key, targets)


async def from_elsewhere(url: str, folder: Path) -> tuple[Judged, Judged, int]:
    """Judge with a vantage point, and with one that does not know us."""
    key, told = Ed25519PrivateKey.generate(), list[dict[str, object]]()
    own = [it for it in own_addresses() if it.address == CARD]
    outward = Outward(enclosed=False, remote=True)
    async with vantage_point(folder, key, told) as north:
        tried = await ways_around(url, own, {"north": north})
        asked = sum(it["event"] == "connect" for it in told)

        def stranger(targets: tuple[str, ...]) -> Dial:
            return _forged(north(targets))

        strange = await ways_around(url, (), {"north": stranger})
    return (
        judge_remote("desk", tried, outward),
        judge_remote("desk", strange, outward),
        asked,
    )


def _forged(dial: Dial) -> Dial:
    vantage = dial.__self__  # type: ignore[attr-defined]
    return replace(vantage, key=Ed25519PrivateKey.generate()).dial


def main() -> None:
    found = {}
    for name, kind in CASES.items():
        with twin(replace(kind)) as server:
            host = CARD if kind.address == CARD else "127.0.0.1"
            found[name] = judged(server.url.replace("127.0.0.1", host))
            canaries = [it for it in server.seen if b"twin-token" in it[3]]
            assert not canaries
    found["nobody"] = judged("http://127.0.0.1:9/mcp")
    with (
        twin(address="0.0.0.0", token=False, checks_host=False) as server,  # noqa: S104
        tempfile.TemporaryDirectory() as folder,
    ):
        url = server.url.replace("127.0.0.1", CARD)
        seen, strange, asked = asyncio.run(from_elsewhere(url, Path(folder)))
    found |= {"from elsewhere": seen, "by a stranger": strange}
    json.dump({**msgspec.to_builtins(found), "asked": asked}, sys.stdout)


if __name__ == "__main__":
    main()
