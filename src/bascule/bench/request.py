"""The one request that every target is sent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bascule.protocol import modern

CONNECTOR = "bench"
TOOL = "echo"
USER = "bench"
AUDIENCE = "bench"
"""Of Envoy's token; Bascule's names the resource."""
PATH = f"/c/{CONNECTOR}/mcp"

REQUEST_ID = 7
BODY = msgspec.json.encode(
    {
        "jsonrpc": "2.0",
        "id": REQUEST_ID,
        "method": "tools/call",
        "params": {
            "name": TOOL,
            "arguments": {"text": "the arguments of a small and ordinary call", "n": 7},
            "_meta": {
                modern.PROTOCOL_VERSION: modern.VERSION,
                modern.CLIENT_CAPABILITIES: {},
            },
        },
    }
)
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": modern.VERSION,
    "Mcp-Method": "tools/call",
    "Mcp-Name": TOOL,
}
