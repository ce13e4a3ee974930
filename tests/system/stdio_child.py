"""An MCP server over stdio that behaves and misbehaves on demand; standard library alone.

What it does on a `tools/call` is the tool's name. Everything that it receives goes into a
file, one JSON object a line, with its process id.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODERN = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
STATE = 'state of the server: \u00e9 \\ " /'
FLOOD_BYTES = 2 << 20
Message = dict[str, Any]

_writing = threading.Lock()


def write(text: str) -> None:
    """Write as it is."""
    with _writing:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def send(**message: Any) -> None:
    """Write one message."""
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def text_result(value: Any, **more: Any) -> Message:
    """Make the result of a tool."""
    return {
        "content": [{"type": "text", "text": json.dumps(value)}],
        "structuredContent": value,
        "resultType": "complete",
        **more,
    }


class Child:
    """The server."""

    def __init__(self, era: str, saw: str, *, stubborn: bool) -> None:
        self.era = era
        self.saw = saw
        self.stubborn = stubborn
        self.released = threading.Event()
        self.waiting: dict[str, Callable[[Message], None]] = {}
        self.listening: list[Any] = []
        self.capabilities: Any = None

    def note(self, message: Any) -> None:
        """Write down what has arrived."""
        line = json.dumps({"pid": os.getpid(), "message": message}) + "\n"
        descriptor = os.open(self.saw, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def serve(self) -> None:
        """Serve until standard input closes."""
        if self.stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for line in sys.stdin.buffer:
            message = json.loads(line)
            self.note(message)
            self.receive(message)
        while self.stubborn:
            threading.Event().wait()

    def receive(self, message: Message) -> None:
        """Act on one message."""
        method, message_id = message.get("method"), message.get("id")
        params = message.get("params", {})
        if method is None:
            self.waiting.pop(str(message_id))(message)
        elif message_id is None:
            return
        elif method == "tools/call":
            self.call(message_id, params)
        else:
            self.answer(message_id, method, params)

    def answer(self, message_id: Any, method: str, params: Message) -> None:
        """Answer everything but calls."""
        if method == "server/discover":
            if self.era == "silent":
                return
            if self.era == "legacy":
                error = {"code": -32601, "message": "Method not found"}
                send(id=message_id, error=error)
                return
            send(id=message_id, result=self.about({"supportedVersions": [MODERN]}))
        elif method == "initialize":
            if self.era == "modern":
                data = {"supported": [MODERN], "requested": params["protocolVersion"]}
                error = {"code": -32022, "message": "too old", "data": data}
                send(id=message_id, error=error)
                return
            self.capabilities = params["capabilities"]
            version = {"protocolVersion": params["protocolVersion"]}
            send(id=message_id, result=self.about(version))
        elif method == "tools/list":
            names = ["echo", "env", "forbidden"]
            tools = [{"name": it, "inputSchema": {"type": "object"}} for it in names]
            listed = {"tools": tools, "resultType": "complete"}
            send(id=message_id, result={**listed, "ttlMs": 0, "cacheScope": "public"})
        elif method == "subscriptions/listen":
            self.listening.append(message_id)
            tagged = {"_meta": {SUBSCRIPTION: message_id}}
            send(
                method="notifications/subscriptions/acknowledged",
                params={**tagged, "notifications": params["notifications"]},
            )
        elif method in {"resources/subscribe", "resources/unsubscribe", "logging/setLevel"}:
            send(id=message_id, result={})
        else:
            send(id=message_id, result={"resultType": "complete"})

    def about(self, version: Message) -> Message:
        """Say what the server is."""
        return {
            **version,
            "capabilities": {
                "tools": {"listChanged": True},
                "resources": {"subscribe": True},
                "logging": {},
            },
            "serverInfo": {"name": "child", "version": "1"},
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
        }

    # Tools

    def call(self, message_id: Any, params: Message) -> None:
        """Do what the tool's name says."""
        name, arguments = params["name"], params.get("arguments", {})
        meta = params.get("_meta", {})
        getattr(self, f"tool_{name}", self.tool_unknown)(message_id, arguments, meta)

    def tool_unknown(self, message_id: Any, arguments: Message, meta: Message) -> None:
        send(id=message_id, error={"code": -32602, "message": "unknown tool"})

    def tool_echo(self, message_id: Any, arguments: Message, meta: Message) -> None:
        value = {"arguments": arguments, "pid": os.getpid(), "meta": meta}
        send(id=message_id, result=text_result(value))

    def tool_env(self, message_id: Any, arguments: Message, meta: Message) -> None:
        value = {
            "env": dict(os.environ),
            "cwd": str(Path.cwd()),
            "fds": sorted(it.name for it in Path("/proc/self/fd").iterdir()),
            "modes": {it: Path(os.environ[it]).stat().st_mode for it in ("HOME", "TMPDIR")},
            "status": Path("/proc/self/status").read_text(),
            "argv": sys.argv,
        }
        send(id=message_id, result=text_result(value))

    def tool_dies(self, message_id: Any, arguments: Message, meta: Message) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def tool_answers_and_ends(
        self, message_id: Any, arguments: Message, meta: Message
    ) -> None:
        send(id=message_id, result=text_result("last words"))
        os._exit(3)

    def tool_hangs(self, message_id: Any, arguments: Message, meta: Message) -> None:
        pass

    def tool_waits(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Answer once a file exists; nothing else is done meanwhile."""
        while not Path(arguments["path"]).exists():
            threading.Event().wait(0.01)
        send(id=message_id, result=text_result("done"))

    def tool_closes(self, message_id: Any, arguments: Message, meta: Message) -> None:
        os.close(1)

    def tool_greets(self, message_id: Any, arguments: Message, meta: Message) -> None:
        write("Welcome \x1b[31mto the server\n\n[1, 2]\n{}\n")
        send(id=message_id, result=text_result("done"))

    def tool_garbage(self, message_id: Any, arguments: Message, meta: Message) -> None:
        write("\x00garbage\n" * 1000)

    def tool_half(self, message_id: Any, arguments: Message, meta: Message) -> None:
        send(id=message_id, error="no object")

    def tool_foreign_id(self, message_id: Any, arguments: Message, meta: Message) -> None:
        for other in (0, message_id + 1, message_id - 100, str(message_id), None, -5):
            send(id=other, result=text_result("for somebody else"))
        send(id=message_id, result=text_result("mine"))

    def tool_floods(self, message_id: Any, arguments: Message, meta: Message) -> None:
        write("{" * FLOOD_BYTES)

    def tool_spams(self, message_id: Any, arguments: Message, meta: Message) -> None:
        for _ in range(20_000):
            send(method="notifications/message", params={"level": "info", "data": "x"})

    def tool_progress(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Tell progress, and that of others too, then answer."""
        for step in range(arguments.get("steps", 3)):
            params = {"progressToken": meta.get("progressToken"), "progress": step}
            if "pad" in arguments:
                params["message"] = "x" * arguments["pad"]
            send(method="notifications/progress", params=params)
        for token in (0, 999_999, "foreign", True, None):
            params = {"progressToken": token, "progress": 99}
            send(method="notifications/progress", params=params)
        send(id=message_id, result=text_result(arguments.get("steps", 3)))

    def tool_carriage(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Put a bare carriage return between two tokens, where JSON allows it."""
        result = json.dumps(text_result("fine"))[:-1] + ',\r\r"data": 1}'
        write(f'{{"jsonrpc":"2.0",\r"id":{message_id},"result":{result}}}\r\n')

    def tool_logs(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Send what belongs to nobody, then answer."""
        for method in ("notifications/message", "notifications/tools/list_changed"):
            send(method=method, params={"level": "info", "data": "whose?"})
        send(id=message_id, result=text_result("logged"))

    def tool_stderr(self, message_id: Any, arguments: Message, meta: Message) -> None:
        sys.stderr.write(arguments["text"])
        sys.stderr.flush()
        send(id=message_id, result=text_result("written"))

    def tool_asks(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Ask the client, and give back what it answered."""

        def answered(message: Message) -> None:
            message.pop("jsonrpc")
            send(id=message_id, result=text_result(message))

        method = arguments.get("method", "sampling/createMessage")
        self.waiting["ask-1"] = answered
        send(id="ask-1", method=method, params={"messages": [], "maxTokens": 1})

    def tool_asks_much(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Ask again and again; answer when enough was refused."""
        refused: list[Message] = []

        def answered(message: Message) -> None:
            refused.append(message)
            if len(refused) == arguments["refused"]:
                send(id=message_id, result=text_result(len(refused)))

        for number in range(arguments["asked"]):
            self.waiting[f"ask-{number}"] = answered
            send(id=f"ask-{number}", method="roots/list", params={})

    def tool_needs_input(self, message_id: Any, arguments: Message, meta: Message) -> None:
        asks = {"who": {"method": "elicitation/create", "params": {"message": "name?"}}}
        result = {"resultType": "input_required", "inputRequests": asks}
        send(id=message_id, result={**result, "requestState": STATE})

    def tool_changes(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Tell those who listen that the list of tools has changed."""
        for listener in [*self.listening, 999_999]:
            tagged = {"_meta": {SUBSCRIPTION: listener}}
            send(method="notifications/tools/list_changed", params=tagged)
        send(id=message_id, result=text_result("changed"))

    def tool_ends_listening(
        self, message_id: Any, arguments: Message, meta: Message
    ) -> None:
        for listener in self.listening:
            send(method="notifications/cancelled", params={"requestId": listener})
        send(id=message_id, result=text_result("ended"))

    def tool_updates(self, message_id: Any, arguments: Message, meta: Message) -> None:
        send(method="notifications/resources/updated", params={"uri": arguments["uri"]})
        send(id=message_id, result=text_result("updated"))

    def tool_capabilities(self, message_id: Any, arguments: Message, meta: Message) -> None:
        send(id=message_id, result=text_result(self.capabilities))

    def tool_spawns(self, message_id: Any, arguments: Message, meta: Message) -> None:
        """Start a process in a session of its own that ignores everything it can."""
        script = "import signal,time\nsignal.signal(15, 1)\ntime.sleep(1000)"
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        send(id=message_id, result=text_result({"pid": process.pid}))


def main() -> None:
    """Serve over standard input and output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--era", default="modern")
    parser.add_argument("--saw", required=True)
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("more", nargs="*")
    arguments = parser.parse_args()
    Child(arguments.era, arguments.saw, stubborn=arguments.stubborn).serve()


if __name__ == "__main__":
    main()
