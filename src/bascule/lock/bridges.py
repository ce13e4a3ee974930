"""Programs that serve nothing themselves: they stand between a client and a server.

Known by their names at the registry. The server behind a bridge is in no lock, and all that
passes could be read and changed by the bridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from bascule.lock.model import Entry
from bascule.lock.purl import name_of

BRIDGES = {
    "npm": frozenset(
        {"@srbhptl39/mcp-superassistant-proxy", "mcp-proxy", "mcp-remote", "supergateway"}
    ),
    "pypi": frozenset(
        {
            *("fastmcp-remote", "mcp-proxy", "mcp-proxy-for-aws"),
            *("mcp-streamablehttp-proxy", "mcpo"),
        }
    ),
}
"""By type of package URL. Only names whose own description says that they pass MCP on."""
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_OURS = frozenset({"http", "https"})
"""Bascule speaks these to servers itself."""


def kind_of(root: str) -> Literal["server", "bridge"]:
    """Tell what a root package is, by its purl; empty for none."""
    ecosystem = root.removeprefix("pkg:").partition("/")[0]
    known = BRIDGES.get(ecosystem, frozenset())
    return "bridge" if known and name_of(root) in known else "server"


def behind(command: Sequence[str]) -> tuple[str, ...]:
    """Give the URLs among a command's words, without user, query and fragment."""
    values = (it.partition("=")[2] if it.startswith("-") else it for it in command)
    return tuple(dict.fromkeys(filter(None, map(_shown, values))))


def _shown(word: str) -> str:
    """Give scheme, host, port and path of a URL; empty for any other word."""
    try:
        parts = urlsplit(word)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    is_url = parts.scheme in _SCHEMES and "://" in word and host
    return f"{parts.scheme}://{host}{parts.path}" if is_url else ""


def warning(entry: Entry) -> str:
    """Say what a reviewer of a bridge has to know; empty for a server."""
    if entry.kind != "bridge":
        return ""
    urls = behind(entry.launch.command)
    server = (
        f"the server behind it, {', '.join(urls)}," if urls else "what stands behind it"
    )
    told = (
        f"`{name_of(entry.root)}` is a bridge: {server} is in no lock and needs approving "
        "too, and whatever passes, credentials included, passes through the bridge"
    )
    ours = [it for it in urls if it.partition(":")[0] in _OURS]
    if not ours:
        return told
    return (
        f'{told}; with `url = "{ours[0]}"` in place of `command` Bascule guards it itself'
    )
