"""Resource identifiers: what an access token is for (RFC 8707 §2, RFC 9728 §1.2)."""

from __future__ import annotations


def resource_identifier(public_url: str, connector: str) -> str:
    """Give the identifier of one connector's endpoint; also its address."""
    return f"{public_url}/c/{connector}/mcp"


def metadata_address(public_url: str, connector: str) -> str:
    """Give where the metadata of that resource is (RFC 9728 §3.1)."""
    return f"{public_url}/.well-known/oauth-protected-resource/c/{connector}/mcp"


def baseline_scope(connector: str) -> str:
    """Give the built-in scope: at most all of one connector."""
    return f"mcp:{connector}"
