"""A server over stdio with one tool, to be started; runs alone, without any package."""

from __future__ import annotations

import json
import sys
from typing import Any

_TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Give the result of a request; None for methods that it does not have."""
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bench", "version": "1"},
        }
    return {"tools": [_TOOL]} if method == "tools/list" else None


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params", {}))
        said: dict[str, Any] = {"error": {"code": -32601, "message": "Method not found"}}
        if result is not None:
            said = {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)


if __name__ == "__main__":
    main()
