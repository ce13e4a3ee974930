"""`WWW-Authenticate` values (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Iterable

from bascule.identity.resource import baseline_scope, metadata_address


def missing_token(public_url: str, connector: str) -> str:
    """Ask for a token; no error, since none was shown (RFC 6750 §3.1)."""
    return _challenge(public_url, connector, (baseline_scope(connector),))


def invalid_token(public_url: str, connector: str) -> str:
    """Say that the token that was shown is not valid here."""
    return _challenge(public_url, connector, (baseline_scope(connector),), "invalid_token")


def unproven(public_url: str, connector: str, error: str, algorithms: Iterable[str]) -> str:
    """Say that it is not proven that the token is shown by its holder (RFC 9449 §7.1)."""
    said = _challenge(public_url, connector, (baseline_scope(connector),), error)
    return f'DPoP algs="{" ".join(sorted(algorithms))}", {said.removeprefix("Bearer ")}'


def insufficient_scope(
    public_url: str, connector: str, scopes: Iterable[str], description: str = ""
) -> str:
    """Name all scopes that the operation needs; `description`: what else is missing."""
    return _challenge(public_url, connector, scopes, "insufficient_scope", description)


def _challenge(
    public_url: str,
    connector: str,
    scopes: Iterable[str],
    error: str | None = None,
    description: str = "",
) -> str:
    parts = [] if error is None else [f'error="{error}"']
    if description:
        parts.append(f"error_description={_quoted(description)}")
    parts.append(f"resource_metadata={_quoted(metadata_address(public_url, connector))}")
    parts.append(f"scope={_quoted(' '.join(sorted(scopes)))}")
    return "Bearer " + ", ".join(parts)


def _quoted(text: str) -> str:
    """Write a quoted-string (RFC 9110 §5.6.4) of visible ASCII alone."""
    safe = "".join(char if " " <= char <= "~" else "?" for char in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'
