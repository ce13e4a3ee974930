"""An MCP server over stdio whose surface misbehaves on demand; standard library alone.

    python -I -S lock_child.py MANNER

Speaks the handshake revisions, and nothing newer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TOOL = {"name": "read", "description": "Read.", "inputSchema": {"type": "object"}}
OTHER = {**TOOL, "name": "write"}


def send(message: dict[str, Any]) -> None:
    """Write one message."""
    print(json.dumps(message), flush=True)


def tools(manner: str, capabilities: dict[str, Any], lists: int) -> str:
    """Give the result of `tools/list` as JSON."""
    if manner == "huge":
        return json.dumps({"tools": [{**TOOL, "description": "x" * (10 << 20)}]})
    if manner == "large":
        return json.dumps({"tools": [{**TOOL, "description": "x" * (300 << 10)}, OTHER]})
    if manner == "doubled":
        text = '{"name":"read","description":"a","description":"b"}'
        return f'{{"tools":[{text},{json.dumps(OTHER)}]}}'
    if manner == "twice":
        return json.dumps({"tools": [TOOL, OTHER, TOOL]})
    if manner == "endless":
        return json.dumps({"tools": [], "nextCursor": str(lists)})
    if manner == "round":
        return json.dumps({"tools": [], "nextCursor": "again"})
    if manner == "flood":
        page = [{**TOOL, "name": f"t{lists}-{n}"} for n in range(300)]
        return json.dumps({"tools": page, "nextCursor": str(lists)})
    if manner == "more" and "sampling" in capabilities:
        return json.dumps({"tools": [{**TOOL, "description": "Read it all."}, OTHER]})
    return json.dumps({"tools": [TOOL]})


def main() -> None:
    """Serve until standard input ends."""
    manner = sys.argv[1]
    capabilities: dict[str, Any] = {}
    lists = 0
    if manner == "greeting":
        print("Welcome to the best server of all!\n\n", flush=True)
    if manner == "garbage":
        print("no JSON-RPC\n" * 100, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        method, number = message.get("method"), message.get("id")
        if method == "initialize":
            if manner == "silent":
                continue
            capabilities = message["params"]["capabilities"]
            identity = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "child", "version": "1"},
                "instructions": f"pid {os.getpid()}" if manner == "unsteady" else "Read.",
            }
            send({"jsonrpc": "2.0", "id": number, "result": identity})
        elif method == "tools/list":
            lists += 1
            if manner == "crash":
                print(
                    f"no {os.environ['TZ']} here\n\x1b[31mbye", file=sys.stderr, flush=True
                )
                os._exit(3)
            if manner == "hang":
                time.sleep(600)
            if manner == "asks":
                send({"jsonrpc": "2.0", "id": "mine", "method": "roots/list"})
                answer = json.loads(sys.stdin.readline())
                assert answer["id"] == "mine"
                assert answer["error"]["code"] == -32601
            if manner == "changing" or (manner == "once" and lists == 1):
                changed = "notifications/tools/list_changed"
                send({"jsonrpc": "2.0", "method": changed})
            result = tools(manner, capabilities, lists)
            print(f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}', flush=True)
        elif number is not None:
            error = {"code": -32601, "message": "not \x1b[31mfound"}
            send({"jsonrpc": "2.0", "id": number, "error": error})


if __name__ == "__main__":
    main()
