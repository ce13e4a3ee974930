"""Asking a provider again: once for all processes, with what is there by then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update

from bascule.authserver import rereading
from bascule.authserver.kept_logins import keep
from bascule.authserver.provider_exchange import Kept, SignedIn
from bascule.authserver.rereading import FRESH_SECONDS, reread
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime, system_entropy
from bascule.credentials.vault import Vault
from bascule.credentials.wrapping import LocalKey, NamedKeys
from bascule.identity.provider_claims import Person
from bascule.storage import federated_users
from bascule.storage.federated_users import FederatedUser, Vouched
from bascule.storage.schema import federated_users as table
from bascule.storage.store import Store, Transaction
from oauth_state import new_store

NOW = UnixTime(1_800_000_000)
LATER = UnixTime(NOW + FRESH_SECONDS)
WHO = FederatedUser("https://idp.example", "a", "corp")
KEYS = NamedKeys(LocalKey(bytes(32), system_entropy), [])
KEPT = Kept(refresh_token="refresh-1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(new_store(tmp_path)) as opened:
        yield opened


@pytest.fixture
def vault() -> Vault:
    return Vault(KEYS, lambda: NOW, system_entropy)


def signs_in(conn: Transaction, vault: Vault) -> None:
    federated_users.vouch(conn, WHO, (), now=NOW)
    keep(vault, conn, SignedIn(WHO, Person(frozenset()), "", KEPT))


def asked_with(store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    """Ask about the user; gives what the provider was shown."""
    found = []

    async def ask(_: AuthorizationServer, __: Vouched, kept: Kept) -> None:
        found.append(kept)

    monkeypatch.setattr(rereading, "_ask", ask)
    parts = SimpleNamespace(store=store, vault=vault, clock=lambda: LATER, asking={})
    server = cast("AuthorizationServer", parts)
    asyncio.run(reread(server, f"user:{WHO.name}"))
    return found


def test_what_is_kept_is_shown(
    store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.run(partial(signs_in, vault=vault))
    assert asked_with(store, vault, monkeypatch) == [KEPT]


def test_who_had_the_turn_just_before_has_asked_already(
    store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer came between our look and our turn: the old token is spent by now."""
    store.run(partial(signs_in, vault=vault))
    take = federated_users.take_turn

    def after_another(conn: Transaction, *, name: str, now: UnixTime, seconds: int) -> bool:
        conn.execute(update(table).values(checked_at=LATER))
        return take(conn, name=name, now=now, seconds=seconds)

    monkeypatch.setattr(federated_users, "take_turn", after_another)
    assert asked_with(store, vault, monkeypatch) == []
    again = partial(take, name=WHO.name, now=LATER, seconds=1)
    assert store.run(again), "the turn is given back"
