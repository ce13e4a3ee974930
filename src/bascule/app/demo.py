"""`up --demo`: a configuration, a user and two real servers to try Bascule with."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bascule.clock import monotonic, system_entropy
from bascule.errors import BasculeError

TICKETS_KEY = "tickets.key"
"""File beside the configuration: what the ticket desk wants to be shown."""
TICKETS_PORT = 8431
START_SECONDS = 10.0
PAUSE_SECONDS = 0.05
CONFIGURATION = f"""\
# Written by `bascule up --demo`: change it, and send the server SIGHUP or start it again.
#
# Nobody has approved these two servers yet. `observe` serves them all the same and records
# what they are; take the line out once one is locked and approved, and nothing else is.

[connectors.tickets]
mode = "observe"
url = "http://127.0.0.1:{TICKETS_PORT}/mcp"
owner = "support-eng"

[connectors.time]
mode = "observe"
command = [{json.dumps(sys.executable)}, "-m", "mcp_server_time"]
owner = "platform-team"
env = {{ TZ = "UTC" }}

[toolsets]
"tickets:read" = ["tickets/search", "tickets/get_*"]
"tickets:write" = ["tickets/create_ticket"]

[roles.support]
members = ["user:demo"]
allow = ["tickets:read", "tickets:write", "time/get_current_time"]

# Clients may register themselves, and their users let them in on a page; see
# `cimd_domains` and `bascule agent add` for what a team has instead.
[clients]
dynamic_registration = true

[agents]
default_ceiling = ["tickets:read", "tickets:write", "time/get_current_time"]

[agents.ceilings]
bascule-cli = ["tickets/*", "time/*"]
"""


EXPLANATION = """
Two real MCP servers are guarded, and nobody reaches them without a token of theirs:

  {url}/c/time/mcp      mcp-server-time over stdio: `demo` may ask what time it is
  {url}/c/tickets/mcp   tickets over HTTP: `demo` may read and create them

{way_in}Clients that sign their users in need the address alone. They open your browser;
sign in as `demo` there, and let them in:

  Claude Code   claude mcp add --transport http time {url}/c/time/mcp
                  and then /mcp in it
  VS Code       code --add-mcp '{{"name": "time", "type": "http", "url":
                  "{url}/c/time/mcp"}}'

For others get a token, good for an hour, and give them both:

  TOKEN=$({bascule} token issue --user demo --connector time --ttl 3600)

  Cursor        in .cursor/mcp.json: {{"mcpServers": {{"time": {{"url":
                  "{url}/c/time/mcp", "headers": {{"Authorization":
                  "Bearer TOKEN"}}}}}}}}
  Inspector     npx @modelcontextprotocol/inspector --cli {url}/c/time/mcp \\
                  --transport http --header "Authorization: Bearer $TOKEN" \\
                  --method tools/list

Nobody has approved these servers, so they are merely observed. To approve one, so that
nothing but what you have seen is run and served:

  {bascule} lock time
  {bascule} diff time
  {bascule} approve time --reason "looked at it"
                  and take its line `mode = "observe"` out of {config}

Look:

  {bascule} audit tail --follow   what is decided, and why
  {bascule} audit verify          that nobody has changed it since
"""


def explanation(config: Path, data_dir: Path, public_url: str, link: str) -> str:
    """Say what there is, how clients get to it, and how to look.

    `link` is where the demo's user sets up a login; empty once it has one.
    """
    program = Path(sys.executable).with_name("bascule")
    options = f"--config {config} --data-dir {data_dir}"
    way_in = f"In a browser, `demo` sets up a login at\n\n  {link}\n\n" if link else ""
    return EXPLANATION.format(
        url=public_url, bascule=f"{program} {options}", way_in=way_in, config=config
    )


def write_configuration(path: Path) -> None:
    """Write the demo's configuration unless there is one already.

    With it goes a key for the ticket desk, so that nobody but Bascule is answered there.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = path.with_name(TICKETS_KEY).absolute()
    _write_new(key, f"Bearer {system_entropy(32).hex()}")
    _write_new(path, CONFIGURATION + credential(key))


def credential(key: Path) -> str:
    """Give the table by which Bascule shows the ticket desk its key."""
    return f"""
# The desk answers whoever shows this key, and Bascule alone has it.
[connectors.tickets.credential]
kind = "static"
value = {json.dumps(f"file:{key}")}
shared = true
"""


def _write_new(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with contextlib.suppress(FileExistsError):
        # 0600 whatever the umask: `up` refuses what others can write.
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def _listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", TICKETS_PORT)) == 0


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait until the desk listens: the first to ask is the probe of its boundary."""
    end = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < end and not _listens():
        time.sleep(PAUSE_SECONDS)


@contextlib.contextmanager
def tickets_server(key: Path) -> Iterator[None]:
    """Run the ticket desk beside the gateway; it wants `key` to be shown, if it is there.

    It is a process of its own and ends with this one, also when this one is killed.
    """
    if None in (importlib.util.find_spec(it) for it in ("mcp", "mcp_server_time")):
        raise BasculeError("`up --demo` needs the extra: pip install 'bascule[demo]'")
    if _listens():
        raise BasculeError(f"port {TICKETS_PORT} is taken: stop what listens there")
    command = [sys.executable, "-P", "-m", "bascule.demo.tickets"]
    if key.exists():
        command += ["--key-file", str(key)]
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [*command, "--port", str(TICKETS_PORT), "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
