"""Linked accounts for tests: a place for secrets, and an account that is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from bascule.clock import UnixTime
from bascule.credentials.link_target import Target
from bascule.credentials.linked_tokens import KeptClient, LinkedTokens, expiry, name_of
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.tokens import Tokens
from bascule.storage import linked_accounts
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import Store, Transaction

URL = "https://desk.example/mcp"
SERVER = AuthorizationServer(
    issuer="https://as.example",
    token_endpoint="https://as.example/token",
    revocation_endpoint="https://as.example/revoke",
)
TARGET = Target(connector="desk", url=URL, policy=FetchPolicy())


@dataclass
class Shelf:
    """A place for secrets that encrypts nothing: a fake of the vault."""

    secrets: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def put(self, conn: Transaction, owner: str, name: str, value: bytes) -> None:
        self.secrets[owner, name] = value

    def get(self, conn: Transaction, owner: str, name: str) -> bytes | None:
        return self.secrets.get((owner, name))

    def delete(self, conn: Transaction, owner: str, name: str) -> None:
        self.secrets.pop((owner, name), None)


def tokens(
    number: int = 1, *, expires_at: int | None = None, refresh: str | None = "refresh-1"
) -> Tokens:
    return Tokens(
        access_token=f"access-{number}",
        token_type="Bearer",
        expires_at=None if expires_at is None else UnixTime(expires_at),
        scope=("read",),
        refresh_token=refresh,
    )


def linked(
    store: Store,
    shelf: Shelf,
    held: Tokens,
    *,
    user: str = "user:alice",
    now: int,
    account_id: str = "0" * 32,
) -> LinkedAccount:
    """Link an account as if its user had done it."""
    account = LinkedAccount(
        id=account_id,
        user=user,
        connector="desk",
        resource=URL,
        issuer=SERVER.issuer,
        scope=held.scope,
        version=1,
        expires_at=expiry(held),
        linked_at=UnixTime(now),
        refreshed_at=UnixTime(now),
    )
    store.run(partial(linked_accounts.add, account=account))
    client = KeptClient(client_id="bascule", issuer=SERVER.issuer, secret="secret-1")
    kept = LinkedTokens(held, client, SERVER, URL, 1).encode()
    shelf.secrets[user, name_of(account_id)] = kept
    return account
