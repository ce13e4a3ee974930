"""`bascule up` as a real process, and a client that speaks raw HTTP to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner, Result

from bascule.audit.query import leaves
from bascule.cli.audit_records import log_files
from bascule.cli.context import CommandContext
from bascule.cli.main import main
from bascule.clock import monotonic
from patience import PATIENCE, PAUSE
from ports import free_ports
from system.forked import Forked
from system.recorder import FORBIDDEN, TOOLS, VERSION, Recorder

CREDENTIAL = "desk-credential-canary"
COMMAND = [sys.executable, "-m", "bascule.cli.main"]

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
{server}

[boundary]
every_minutes = 0

[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:{upstream}/mcp"
may_ask = ["elicitation"]

[connectors.desk.credential]
kind = "static"
header = "X-Desk-Key"
value = "file:{secret}"
shared = true

[connectors.annex]
mode = "observe"
url = "http://127.0.0.1:{upstream}/annex"

[roles.clerk]
members = ["user:alice", "user:bob"]
allow = [{tools}, "annex/*", "desk/resource:note:*"]

[agents]
default_ceiling = ["desk/*", "annex/*"]

[scopes]
"desk.echo" = ["desk/echo"]

[limits]
upstream_seconds = 2
failed_auth_per_minute = 100000
{more}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found


@dataclass(slots=True)
class Stream:
    """An answer that comes in events."""

    status: int
    _response: http.client.HTTPResponse
    _connection: http.client.HTTPConnection

    def next(self) -> dict[str, Any] | None:
        """Wait for the next message; None at the end, however that came."""
        try:
            for line in self._response:
                if line.startswith(b"data: "):
                    found: dict[str, Any] = json.loads(line[6:])
                    return found
        except TimeoutError as exc:
            raise AssertionError("neither a message came nor the end") from exc
        except (OSError, http.client.HTTPException):
            return None
        return None

    def expect(self) -> dict[str, Any]:
        """Wait for the next message, which must come."""
        found = self.next()
        assert found is not None, "the stream has ended"
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away, as a client does that cancels."""
        self._response.close()
        self._connection.close()


def body_of(
    method: str, params: Mapping[str, Any] | None = None, message_id: int | str = 7
) -> dict[str, Any]:
    """Make a request of 2026-07-28."""
    params = dict(params or {})
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        **params.pop("_meta", {}),
    }
    params = {**params, "_meta": meta}
    return {"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}


def headers_of(body: Mapping[str, Any], token: str | None) -> dict[str, str]:
    """Make the headers that such a request has."""
    params = body.get("params", {})
    named = params.get("uri" if body.get("method") == "resources/read" else "name")
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": str(body.get("method")),
        **({"Mcp-Name": named} if isinstance(named, str) else {}),
        **({"Authorization": f"Bearer {token}"} if token is not None else {}),
    }


@dataclass(slots=True)
class Installation:
    """A configuration and a data directory, with or without a server that runs on them."""

    folder: Path
    public: int
    admin: int
    command: list[str] = field(default_factory=lambda: list(COMMAND))
    process: subprocess.Popen[str] | Forked | None = None
    source: str = ""
    """Address on loopback that clients come from; empty: the usual one."""
    _lines: list[str] = field(default_factory=list)
    _shown: list[dict[str, Any]] = field(default_factory=list)
    _reading: threading.Thread | None = None

    @property
    def config(self) -> Path:
        return self.folder / "bascule.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.public}"

    @property
    def options(self) -> list[str]:
        return ["--config", str(self.config), "--data-dir", str(self.data)]

    @property
    def log(self) -> str:
        """What the server has said; whole once it has ended."""
        if self._reading is not None and self.process is None:
            self._reading.join(PATIENCE)
        return "".join(self._lines)

    # Commands

    def cli(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(main, [*self.options, *arguments], catch_exceptions=False)

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run a command that succeeds, and give the object that it prints."""
        result = self.cli(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def token(self, user: str | None = "alice", connector: str = "desk", *more: str) -> str:
        """Issue a token."""
        who = [] if user is None else ["--user", user]
        issued = self.ask("token", "issue", *who, "--connector", connector, *more)
        return str(issued["access_token"])

    def records(self, *selectors: str) -> list[dict[str, Any]]:
        """Give records, oldest first."""
        result = self.cli("audit", "query", *selectors, "--json")
        assert result.exit_code == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    def wait_for_records(self, *selectors: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many records are in the log."""
        end = monotonic() + PATIENCE
        while len(found := self.records(*selectors)) < count:
            assert monotonic() < end, f"only {found}"
            time.sleep(PAUSE)
        return found

    def whole_records(self) -> list[dict[str, Any]]:
        """Give all records with all their parts; each is read once, since none changes."""
        with contextlib.closing(CommandContext(self.config, self.data)) as context:
            for seq, leaf in leaves(log_files(context), len(self._shown)):
                self._shown.append({"seq": seq, **json.loads(leaf)})
        return list(self._shown)

    # The process

    def start(self, *options: str) -> None:
        """Start the server; returns when it accepts requests."""
        self.process = _started([*self.command, *self.options, "up", *options])
        ready = threading.Event()
        self._reading = threading.Thread(
            target=self._read, args=(self.process, ready), daemon=True
        )
        self._reading.start()
        if not ready.wait(PATIENCE) or self.process.poll() is not None:
            self.kill()
            raise AssertionError(f"the server did not start: {self.log}")

    def _read(
        self, process: subprocess.Popen[str] | Forked, ready: threading.Event
    ) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._lines.append(line)
            if line.startswith("ready "):
                ready.set()
        process.stderr.close()
        process.wait()
        ready.set()

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def stop(self) -> int:
        """End the server as an operator does; gives its exit code."""
        assert self.process is not None
        self.signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """End the server without warning."""
        if self.process is not None:
            self.process.kill()
            self._ended()

    def _ended(self) -> int:
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def run_up(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `up` where it must not start."""
        process = Forked([*COMMAND, *self.options, "up", *options])
        assert process.stderr is not None
        with process.stderr:
            try:
                code = process.wait(PATIENCE)
            finally:
                process.kill()
            return subprocess.CompletedProcess(
                process.args, code, stderr=process.stderr.read()
            )

    # Requests

    def connect(self) -> http.client.HTTPConnection:
        """Make a connection that a request opens."""
        source = (self.source, 0) if self.source else None
        return http.client.HTTPConnection(
            "127.0.0.1", self.public, source_address=source, timeout=PATIENCE
        )

    def send(
        self,
        body: Mapping[str, Any] | bytes,
        headers: Mapping[str, str],
        *,
        path: str = "/c/desk/mcp",
        verb: str = "POST",
    ) -> Answer:
        """Send one request and wait for the whole answer."""
        connection = self.connect()
        with contextlib.closing(connection):
            response = _request(connection, verb, path, body, headers)
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def call(
        self,
        token: str | None,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        connector: str = "desk",
        message_id: int | str = 7,
    ) -> Answer:
        """Send a well-formed request."""
        body = body_of(method, params, message_id)
        path = f"/c/{connector}/mcp"
        return self.send(body, headers_of(body, token), path=path)

    def tool(self, token: str | None, name: str, **arguments: Any) -> Answer:
        """Call a tool."""
        return self.call(token, "tools/call", {"name": name, "arguments": arguments})

    def stream(
        self, token: str, method: str, params: Mapping[str, Any], message_id: int | str = 7
    ) -> Stream:
        """Send a request whose answer comes in events."""
        connection = self.connect()
        body = body_of(method, params, message_id)
        response = _request(
            connection, "POST", "/c/desk/mcp", body, headers_of(body, token)
        )
        return Stream(response.status, response, connection)

    def abandoned(self, token: str, name: str, **more: Any) -> http.client.HTTPConnection:
        """Begin a call that nobody waits for; closing the connection goes away.

        `more`: other members of its `params`.
        """
        connection = self.connect()
        body = body_of("tools/call", {"name": name, "arguments": {}, **more})
        connection.request("POST", "/c/desk/mcp", json.dumps(body), headers_of(body, token))
        return connection


def _started(command: list[str]) -> subprocess.Popen[str] | Forked:
    """Start a command whose errors are read; Python is forked."""
    if command[0] == sys.executable:
        return Forked(command)
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _request(
    connection: http.client.HTTPConnection,
    verb: str,
    path: str,
    body: Mapping[str, Any] | bytes,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(verb, path, data if verb == "POST" else None, dict(headers))
    return connection.getresponse()


def install(
    folder: Path, recorder: Recorder, *, more: str = "", server: str = ""
) -> Installation:
    """Write a configuration, and add two users and one agent; nothing runs yet."""
    made = configure(folder, recorder, more=more, server=server)
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    made.ask("agent", "add", "robot", "--secret")
    return made


def configure(
    folder: Path, recorder: Recorder, *, more: str = "", server: str = ""
) -> Installation:
    """Write a configuration; `more` goes into its limits, `server` into its server."""
    public, admin = free_ports(2)
    folder.mkdir(exist_ok=True)
    secret = folder / "credential"
    secret.touch(0o600)
    secret.write_text(CREDENTIAL + "\n")
    made = Installation(folder, public, admin)
    tools = ", ".join(f'"desk/{name}"' for name in TOOLS if name != FORBIDDEN)
    made.config.write_text(
        CONFIG.format(
            public=public,
            admin=admin,
            upstream=recorder.port,
            secret=secret,
            tools=tools,
            more=more,
            server=server,
        )
    )
    return made


@contextlib.contextmanager
def serving(folder: Path, recorder: Recorder, *, more: str = "") -> Iterator[Installation]:
    """Run a server; whatever is left of it at the end is killed."""
    made = install(folder, recorder, more=more)
    made.start()
    try:
        yield made
    finally:
        made.kill()
