"""Stdio servers that are killed under load: no call is lost, nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from bascule.launch.calls import CallError
from system.stdio_host import Host, content, hosting, last

ROUNDS = 5


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def one(host: Host, number: int) -> bool:
    """Make a call; True when it was answered, with its own answer."""
    try:
        response = await last(await host.call("echo", {"number": number}))
    except CallError:
        return False
    assert content(response)["arguments"] == {"number": number}
    return True


async def living(host: Host) -> int:
    """Give the process id of a server that answers; the last may have been killed."""
    while True:
        with contextlib.suppress(CallError):
            return int((await host.value("echo"))["pid"])


def test_calls_while_the_server_is_killed(tmp_path: Path) -> None:
    answered: list[bool] = []

    async def work(host: Host) -> None:
        await living(host)
        before = descriptors()
        for _ in range(ROUNDS):
            pid = await living(host)
            calls = [asyncio.ensure_future(one(host, number)) for number in range(40)]
            await calls[0]
            os.kill(pid, signal.SIGKILL)
            answered.extend(await asyncio.gather(*calls))
        await living(host)
        assert descriptors() <= before + 4

    hosting(tmp_path, work, patience=60)
    assert len(answered) == 40 * ROUNDS
    assert any(answered)
