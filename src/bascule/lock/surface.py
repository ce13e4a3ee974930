"""What a server says of itself as a whole, and the digests of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.lock.definition import canonical_digest
from bascule.protocol import modern

SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def identity_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Give who a server says it is, from a result of `server/discover` or `initialize`.

    Name, version and whatever else stands beside them, and the capabilities. Left out is
    what belongs to one answer: `ttlMs`, `cacheScope`, `resultType`, other `_meta`, and the
    revisions, which differ by who asked.
    """
    meta = result.get(modern.META)
    within = meta.get(SERVER_INFO) if isinstance(meta, dict) else None
    return {
        "capabilities": result.get("capabilities", {}),
        "serverInfo": result.get("serverInfo", within),
    }


def server_digest(result: Mapping[str, Any]) -> str:
    """Hash who a server says it is. Raises `UnpinnableError`."""
    return canonical_digest(identity_of(result))


def instructions_digest(text: str) -> str:
    """Hash the instructions that a server gives to models. Raises `UnpinnableError`."""
    return canonical_digest(text)
