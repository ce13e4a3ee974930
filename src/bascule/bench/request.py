"""The one request that every target is sent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bascule.protocol import modern

CONNECTOR = "bench"
TOOL = "echo"
USER = "bench"
LISTERS = tuple(f"lister-{number}" for number in range(5))
"""Users who have not asked for a list before: what is decided for one is kept."""
FRESH = "fresh-"
"""Tools of a name that begins like this may be called too; with a number each is new."""
LISTED_TOOLS = 500
AUDIENCE = "bench"
"""Of Envoy's token; Bascule's names the resource."""
PATH = f"/c/{CONNECTOR}/mcp"

REQUEST_ID = 7
_META = {modern.PROTOCOL_VERSION: modern.VERSION, modern.CLIENT_CAPABILITIES: {}}


def _request(method: str, **params: object) -> bytes:
    request = {"jsonrpc": "2.0", "id": REQUEST_ID, "method": method}
    return msgspec.json.encode({**request, "params": {**params, "_meta": _META}})


BODY = _request(
    "tools/call",
    name=TOOL,
    arguments={"text": "the arguments of a small and ordinary call", "n": 7},
)
LIST_BODY = _request("tools/list")
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": modern.VERSION,
    "Mcp-Method": "tools/call",
    "Mcp-Name": TOOL,
}
LIST_HEADERS: Mapping[str, str] = {
    **{name: value for name, value in HEADERS.items() if name != "Mcp-Name"},
    "Mcp-Method": "tools/list",
}
