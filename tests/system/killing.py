"""A server that dies at a given line, and what is in the log of it."""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Callable
from pathlib import Path

from system.server import COMMAND, Installation


def killed_at(
    own: Installation, file: str, text: str, begin: Callable[[], http.client.HTTPConnection]
) -> bytes:
    """Start a server that dies where a call comes to a line; gives what its client got."""
    script = Path(__file__).with_name("breakpoint.py")
    own.command = [sys.executable, str(script), file, text]
    own.start()
    got = b""
    gone = contextlib.suppress(OSError, http.client.HTTPException)
    with contextlib.closing(begin()) as connection, gone:
        got = connection.getresponse().read()
    assert own.process is not None
    assert own.process.wait(10) == -9
    own.kill()
    own.command = list(COMMAND)
    return got


def calls_of(own: Installation, tool: str) -> list[tuple[str, str | None]]:
    """Give type and outcome of the calls of a tool that are in the log."""
    records = own.whole_records()
    ends = {
        it["parent"]: it["result"].get("outcome", "ok") for it in records if "parent" in it
    }
    return [
        (it["type"], ends.get(it["id"]))
        for it in records
        if it.get("mcp", {}).get("name") == tool
    ]
