"""Resource identifiers: what an access token is for (RFC 8707 §2, RFC 9728 §1.2)."""

from __future__ import annotations

import re

_RESOURCE = re.compile(r"(?i:(https?://[^/?#]+))/c/([a-z0-9-]{1,32})/mcp/?")


def resource_identifier(public_url: str, connector: str) -> str:
    """Give the identifier of one connector's endpoint; also its address."""
    return f"{public_url}/c/{connector}/mcp"


def metadata_address(public_url: str, connector: str) -> str:
    """Give where the metadata of that resource is (RFC 9728 §3.1)."""
    return f"{public_url}/.well-known/oauth-protected-resource/c/{connector}/mcp"


def baseline_scope(connector: str) -> str:
    """Give the built-in scope: at most all of one connector."""
    return f"mcp:{connector}"


def connector_of(public_url: str, resource: str) -> str | None:
    """Give the connector that a resource identifier names, known or not; else None.

    Scheme and host in upper case and one slash at the end are accepted, since clients write
    both (RFC 3986 §6.2.2.1).
    """
    found = _RESOURCE.fullmatch(resource)
    if found is None or found[1].lower() != public_url:
        return None
    return found[2]
