"""Tokens that only their issuer can read: the table about asking it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bascule.config.table import SecretRef, Table


class Introspection(Table, frozen=True):
    """`[issuers.NAME.introspection]`: where an issuer says what a token is (RFC 7662)."""

    endpoint: str
    """Address of its introspection endpoint; https, or http to loopback."""
    client_id: str
    """As whom Bascule asks there; it authenticates with `client_secret_basic`."""
    client_secret: SecretRef
    """Reference to the secret of that client."""
    cache_seconds: Annotated[int, Meta(ge=1, le=15)] = 15
    """How long an answer counts, and so how long a token may outlive its revocation."""
