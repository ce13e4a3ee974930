"""Headers of messages to upstreams that are the same each time."""

from __future__ import annotations

from bascule.gateway.exchange import header_block
from bascule.net.fetch import USER_AGENT

POSTED = header_block(
    (b"Content-Type", b"application/json"),
    (b"Accept", b"application/json, text/event-stream"),
)
LISTENING = header_block((b"Accept", b"text/event-stream"))
OWN_REQUEST = header_block((b"User-Agent", USER_AGENT.encode()))
"""Marks what Bascule sends for itself; nothing that is relayed carries it."""
