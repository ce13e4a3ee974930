"""Which half of an MCP SDK a program uses: it is read, and never run."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Literal

_SERVER = re.compile(
    rb"\bmcp\.server\b|\bfastmcp\b|\bFastMCP\b|modelcontextprotocol/(?:sdk/)?server"
    rb"|\bStdioServerTransport\b|\bstdio_server\b"
)
_CLIENT = re.compile(
    rb"\bmcp\.client\b|\bClientSession\b|modelcontextprotocol/(?:sdk/)?client"
    rb"|\bStdioClientTransport\b|\bstdio_client\b"
)
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_MOST = 1 << 18
"""Bytes that are looked through: what a program imports stands at its beginning."""


def half_of(script: Path) -> Literal["server", "client", ""]:
    """Tell which half a script uses, the server's where it uses both; empty for none.

    For what is no file, or has no end, nobody waits.
    """
    code = _beginning(script)
    if _SERVER.search(code):
        return "server"
    return "client" if _CLIENT.search(code) else ""


def _beginning(script: Path) -> bytes:
    try:
        descriptor = os.open(script, os.O_RDONLY | _NOT_WAITING)
    except (OSError, ValueError):
        return b""
    try:
        info = os.fstat(descriptor)
        # Files of the kernel that are written while one reads say that they are empty.
        is_file = stat.S_ISREG(info.st_mode) and info.st_size > 0
        return os.read(descriptor, _MOST) if is_file else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)
