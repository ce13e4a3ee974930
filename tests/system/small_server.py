"""A small MCP server over stdio, to be locked: serves the tools of a file beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).with_name("tools.json")


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Give the result of a request; None for methods that it does not have."""
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "small", "version": "1.0"},
        }
    if method == "tools/list":
        return {"tools": json.loads(TOOLS.read_text())}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": params["name"]}]}
    return None


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params", {}))
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        else:
            reply["result"] = result
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
