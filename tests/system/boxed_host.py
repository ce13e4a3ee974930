"""Starts one program in a sandbox and tells what it said and reached, as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError
from bascule.launch.process import Process
from bascule.launch.sandbox.backend import Backend, Reached
from bascule.launch.sandbox.bubblewrap import Bubblewrap
from bascule.launch.sandbox.choose import Unsandboxed
from bascule.launch.sandbox.landlock import Landlock
from bascule.launch.sandbox.spec import SandboxSpec

PATIENCE = 45.0
LIMIT = 1 << 22


class Heard:
    """Keeps what the program says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.said = asyncio.Event()

    def line_received(self, line: bytes) -> None:
        self.lines.append(line.decode("utf-8", "replace"))
        self.said.set()

    def congested(self, blocked: bool) -> None:
        pass

    def ended(self, reason: str) -> None:
        self.said.set()


async def run(wanted: dict[str, Any]) -> dict[str, Any]:
    reached: list[Reached] = []

    async def report(it: Reached) -> None:
        reached.append(it)

    names: dict[str, list[str]] = wanted.pop("names", {})

    async def resolver(host: str, port: int) -> list[str]:
        return names.get(host, [])

    backends: dict[str, Backend] = {
        "bubblewrap": Bubblewrap(resolver),
        "landlock": Landlock(),
        "none": Unsandboxed(),
    }
    backend = backends[wanted.pop("backend")]
    said: list[str] = wanted.pop("said", [])
    ends_after = wanted.pop("ends_after", "")
    heard = Heard()
    process = Process("boxed", heard, secrets=frozenset())
    began = time.perf_counter()
    problem = ""
    try:
        start = backend.prepare(_spec(wanted), report)
        await process.start(start, limit=LIMIT)
        for line in said:
            process.write(line.encode())
        async with asyncio.timeout(PATIENCE):
            if ends_after:
                while not any(ends_after in it for it in heard.lines):
                    heard.said.clear()
                    await heard.said.wait()
                process.cut()
            await process.exited.wait()
    except BasculeError as exc:
        problem = str(exc)
    seconds = time.perf_counter() - began
    await process.stop()
    egress = getattr(start, "egress", None) if not problem else None
    return {
        "out": heard.lines,
        "reached": [asdict(it) for it in reached],
        "seconds": seconds,
        "sent": 0 if egress is None else egress.bytes_out,
        "problem": problem,
    }


def _spec(wanted: dict[str, Any]) -> SandboxSpec:
    paths = {
        it: tuple(map(Path, wanted.pop(it, ()))) for it in ("read", "write", "forbidden")
    }
    hosts = {it: tuple(wanted.pop(it, ())) for it in ("may_reach", "private")}
    scratch = wanted.pop("scratch", None)
    installation = wanted.pop("installation", None)
    return SandboxSpec(
        connector="boxed",
        tree=Path(wanted.pop("tree")),
        interpreter=Path(wanted.pop("interpreter", sys.executable)),
        argv=tuple(wanted.pop("argv")),
        installation=None if installation is None else tuple(map(Path, installation)),
        scratch=None if scratch is None else Path(scratch),
        **paths,
        **hosts,
        **wanted,
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
