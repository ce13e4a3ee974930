"""Logins at providers that ended, and what is revoked of them there."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bascule.authserver.kept_logins import LoginsToRevoke, keep, kept_of
from bascule.authserver.provider_exchange import Kept, ProviderExchange, SignedIn
from bascule.clock import UnixTime, system_entropy
from bascule.credentials.vault import Vault
from bascule.credentials.wrapping import LocalKey, NamedKeys
from bascule.errors import BasculeError
from bascule.identity.provider_claims import Person
from bascule.storage import federated_users, revocations
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Transaction
from oauth_state import new_store

NOW = UnixTime(1_800_000_000)
WHO = FederatedUser("https://idp.example", "a", "corp")
KEYS = NamedKeys(LocalKey(bytes(32), system_entropy), [])
VAULT = Vault(KEYS, lambda: NOW, system_entropy)


def signs_in(conn: Transaction, token: str) -> None:
    federated_users.vouch(conn, WHO, (), now=NOW)
    left = Kept(refresh_token=token)
    keep(VAULT, conn, SignedIn(WHO, Person(frozenset()), "", left))


def revoke(conn: Transaction) -> None:
    revocations.revoke(conn, kind="user", key=f"user:{WHO.name}", reason="r", now=NOW)


async def asked(_: FederatedUser) -> None:
    raise BasculeError("the provider was asked")


def test_a_new_login_is_not_revoked_in_place_of_the_one_that_ended(tmp_path: Path) -> None:
    """It came between the turn to revoke the old one and the look at its tokens."""
    exchange = cast("ProviderExchange", SimpleNamespace(of_login=asked))
    with contextlib.closing(new_store(tmp_path)) as store:
        kind = LoginsToRevoke(store, VAULT, exchange, lambda: NOW, system_entropy)
        store.run(partial(signs_in, token="old"))
        store.run(revoke)
        (ended,) = store.run(partial(kind.take, now=NOW))
        with pytest.raises(BasculeError, match="was asked"):
            asyncio.run(kind.revoke(ended))
        store.run(partial(signs_in, token="new"))
        asyncio.run(kind.revoke(ended))
        store.run(partial(kind.forget, ended=ended))
        kept = store.read(partial(kept_of, VAULT, user=WHO.name, provider="corp"))
        assert kept == Kept(refresh_token="new")
