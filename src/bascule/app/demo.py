"""`up --demo`: a configuration, a user and a real server to try Bascule with."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bascule.errors import BasculeError

TICKETS_PORT = 8431
CONFIGURATION = f"""\
# Written by `bascule up --demo`: change it, and send the server SIGHUP or start it again.

[connectors.tickets]
url = "http://127.0.0.1:{TICKETS_PORT}/mcp"
owner = "support-eng"

[toolsets]
"tickets:read" = ["tickets/search", "tickets/get_*"]
"tickets:write" = ["tickets/create_ticket"]

[roles.support]
members = ["user:demo"]
allow = ["tickets:read", "tickets:write"]

[agents.ceilings]
bascule-cli = ["tickets/*"]
"""


def write_configuration(path: Path) -> None:
    """Write the demo's configuration unless there is one already."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with contextlib.suppress(FileExistsError):
        # 0600 whatever the umask: `up` refuses what others can write.
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION)


@contextlib.contextmanager
def tickets_server() -> Iterator[None]:
    """Run the ticket desk beside the gateway.

    It is a process of its own and ends with this one, also when this one is killed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise BasculeError("`up --demo` needs the extra: pip install 'bascule[demo]'")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", TICKETS_PORT)) == 0:
            raise BasculeError(f"port {TICKETS_PORT} is taken: stop what listens there")
    command = [sys.executable, "-m", "bascule.demo.tickets", "--port", str(TICKETS_PORT)]
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [*command, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
