"""Servers in a network namespace, each asked around Bascule; prints what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import replace

import msgspec

from bascule.scan.boundary import Judged, Outward, judge_remote
from bascule.scan.bypass import ways_around
from bascule.scan.interfaces import own_addresses
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


def main() -> None:
    found = {}
    for name, kind in CASES.items():
        with twin(replace(kind)) as server:
            host = CARD if kind.address == CARD else "127.0.0.1"
            found[name] = judged(server.url.replace("127.0.0.1", host))
            canaries = [it for it in server.seen if b"twin-token" in it[3]]
            assert not canaries
    with contextlib.closing(asyncio.new_event_loop()):
        found["nobody"] = judged("http://127.0.0.1:9/mcp")
    json.dump(msgspec.to_builtins(found), sys.stdout)


if __name__ == "__main__":
    main()
