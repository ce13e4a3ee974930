"""What the vault keeps of one linked account."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from bascule.clock import UnixTime
from bascule.oauthclient.client import Client, Method
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.tokens import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptClient:
    """A client without a private key, as JSON can hold it."""

    client_id: str
    issuer: str | None
    secret: str | None = field(repr=False, default=None)
    method: Method | None = None

    @classmethod
    def of(cls, client: Client) -> KeptClient:
        """Give what is kept of a client."""
        return cls(
            client_id=client.client_id,
            issuer=client.issuer,
            secret=client.secret,
            method=client.method,
        )

    def client(self) -> Client:
        """Give the client again."""
        return Client(
            client_id=self.client_id,
            issuer=self.issuer,
            secret=self.secret,
            method=self.method,
        )


def client_for(configured: Client | None, kept: KeptClient) -> Client:
    """Give what proves the client that tokens were issued to.

    As it is configured now, with a key or a newer secret, where it still is the same one.
    """
    if configured is None:
        return kept.client()
    known = (configured.client_id, configured.issuer)
    return configured if known == (kept.client_id, kept.issuer) else kept.client()


@dataclass(frozen=True, slots=True)
class LinkedTokens:
    """Tokens of one account, with all that is needed to refresh and to revoke them."""

    tokens: Tokens
    client: KeptClient
    server: AuthorizationServer
    resource: str
    """Resource indicator that they were asked for with (RFC 8707)."""
    version: int
    """Of the account's row to which they belong."""
    dpop_key: str | None = field(repr=False, default=None)
    """Private key to which they are bound, as JSON; None for bearer tokens."""

    @property
    def prover(self) -> Prover | None:
        """What proves that key."""
        return None if self.dpop_key is None else Prover.of(self.dpop_key)

    def after(self, tokens: Tokens) -> LinkedTokens:
        """Give those that a refresh brought."""
        return replace(self, tokens=tokens, version=self.version + 1)

    def encode(self) -> bytes:
        """Write them for the vault."""
        return msgspec.json.encode(self)


decode = msgspec.json.Decoder(LinkedTokens).decode
"""Reads what `LinkedTokens.encode` wrote."""


def name_of(account_id: str) -> str:
    """Give the name in the vault, where the owner is the user."""
    return f"linked/{account_id}"


def expiry(tokens: Tokens) -> UnixTime:
    """Give when the access token ends, for the account's row: 0 when nobody said."""
    return UnixTime(0) if tokens.expires_at is None else tokens.expires_at
