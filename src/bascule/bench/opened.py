"""How long a stdio server takes until `initialize` is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from bascule.errors import BasculeError
from bascule.launch.opening import HANDSHAKE_REVISIONS, client_info
from bascule.launch.process import Process
from bascule.launch.start import Start

SECONDS = 20.0
"""A server that is not there by then does not work."""
MAX_LINE_BYTES = 1 << 20
_INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": HANDSHAKE_REVISIONS[0],
            "capabilities": {},
            "clientInfo": client_info(),
        },
    }
).encode()


class _FirstLine:
    """Waits for the first line of a process."""

    def __init__(self) -> None:
        self.line: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def line_received(self, line: bytes) -> None:
        if not self.line.done():
            self.line.set_result(line)

    def congested(self, blocked: bool) -> None:
        """Nothing is written but one line."""

    def ended(self, reason: str) -> None:
        if not self.line.done():
            self.line.set_exception(BasculeError(f"it {reason}"))


async def locked_ms(
    clock: Callable[[], float], prepare: Callable[[], Awaitable[Start]]
) -> float:
    """Give the milliseconds from before `prepare` to the answer. Raises `BasculeError`."""
    first = _FirstLine()
    process = Process("bench", first, secrets=frozenset())
    before = clock()
    try:
        await process.start(await prepare(), limit=MAX_LINE_BYTES)
        process.write(_INITIALIZE)
        async with asyncio.timeout(SECONDS):
            line = await first.line
        took = (clock() - before) * 1000
    except TimeoutError as exc:
        raise BasculeError(f"it did not answer within {SECONDS:.0f} s") from exc
    finally:
        await process.stop()
        if first.line.done():
            first.line.exception()
    _require_result(line)
    return took


async def bare_ms(
    clock: Callable[[], float],
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
) -> float:
    """Give the milliseconds of a plain start until the answer. Raises `BasculeError`."""
    before = clock()
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environment),
        cwd=folder,
    )
    assert process.stdin is not None  # noqa: S101 - asked for
    assert process.stdout is not None  # noqa: S101 - asked for
    try:
        process.stdin.write(_INITIALIZE + b"\n")
        async with asyncio.timeout(SECONDS):
            line = await process.stdout.readline()
        took = (clock() - before) * 1000
    except TimeoutError as exc:
        raise BasculeError(f"it did not answer within {SECONDS:.0f} s") from exc
    finally:
        # Its input at its end ends whatever it has started as well.
        process.stdin.close()
        try:
            async with asyncio.timeout(SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    _require_result(line)
    return took


def _require_result(line: bytes) -> None:
    try:
        answered = "result" in json.loads(line)
    except ValueError:
        answered = False
    if not answered:
        raise BasculeError("it did not answer `initialize`")
