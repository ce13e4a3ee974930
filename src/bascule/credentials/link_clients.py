"""As which client Bascule is known to an authorization server, found once and kept."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from bascule.config.addresses import is_loopback
from bascule.credentials.link_target import (
    CALLBACK_PATH,
    DOCUMENT_PATH,
    Target,
    callback_of,
)
from bascule.credentials.linked_tokens import KeptClient
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.registration import client_metadata, document_client, register
from bascule.storage.store import Store, Transaction

NAME = "Bascule"
OWNER = "bascule"
"""In the vault, of what is no user's."""

_decode = msgspec.json.Decoder(KeptClient).decode


class Secrets(Protocol):
    """Where secrets are kept encrypted: the vault, as this package sees it."""

    def put(self, conn: Transaction, owner: str, name: str, value: bytes) -> None:
        """Keep a secret, in place of the one of that name."""

    def get(self, conn: Transaction, owner: str, name: str) -> bytes | None:
        """Give a secret; None when there is none."""

    def delete(self, conn: Transaction, owner: str, name: str) -> None:
        """Forget a secret; there may be none."""


class LinkClients:
    """Those of one deployment; used on one event loop."""

    def __init__(self, public_url: str, store: Store, vault: Secrets) -> None:
        self._public_url = public_url
        self._store = store
        self._vault = vault
        self._turn = asyncio.Lock()

    async def get(self, target: Target, server: AuthorizationServer) -> Client:
        """Give the client for a server: configured, by its document, else registered.

        Registered ones are kept for that issuer alone. Raises `OAuthClientError`.
        """
        if target.client is not None:
            return target.client
        address = self._document_address()
        if address is not None and server.client_id_metadata_document_supported:
            return document_client(address)
        name = self._name_of(server)
        async with self._turn:
            kept = await self._store.look(partial(self._vault.get, owner=OWNER, name=name))
            if kept is not None:
                return _decode(kept).client()
            return await self._register(target, server)

    async def forget(self, server: AuthorizationServer, client_id: str) -> None:
        """Register anew the next time, where that client is the registered one."""
        async with self._turn:
            await self._store.transact(
                partial(self._forget, server=server, client_id=client_id)
            )

    def _forget(
        self, conn: Transaction, server: AuthorizationServer, client_id: str
    ) -> None:
        name = self._name_of(server)
        kept = self._vault.get(conn, OWNER, name)
        if kept is not None and _decode(kept).client_id == client_id:
            self._vault.delete(conn, OWNER, name)

    async def _register(self, target: Target, server: AuthorizationServer) -> Client:
        metadata = self.metadata(callback_of(server.issuer))
        client = await register(server, metadata, target.policy)
        value = msgspec.json.encode(KeptClient.of(client))
        name = self._name_of(server)
        put = partial(self._vault.put, owner=OWNER, name=name, value=value)
        await self._store.transact(put)
        return client

    def metadata(self, callback: str = CALLBACK_PATH) -> dict[str, object]:
        """Give what Bascule says of itself to register; `callback`: the path back."""
        host = urlsplit(self._public_url).hostname or ""
        return client_metadata(
            name=NAME,
            redirect_uris=[f"{self._public_url}{callback}"],
            application_type="native" if is_loopback(host) else "web",
        )

    def document(self) -> dict[str, object]:
        """Give the document that lies at its own address."""
        return {
            "client_id": f"{self._public_url}{DOCUMENT_PATH}",
            "client_uri": self._public_url,
            **self.metadata(),
        }

    def _document_address(self) -> str | None:
        """None where nobody else could fetch it."""
        parts = urlsplit(self._public_url)
        reachable = parts.scheme == "https" and not is_loopback(parts.hostname or "")
        return f"{self._public_url}{DOCUMENT_PATH}" if reachable else None

    def _name_of(self, server: AuthorizationServer) -> str:
        key = f"{server.issuer} {self._public_url}{callback_of(server.issuer)}"
        return f"client/{hashlib.sha256(key.encode()).hexdigest()}"
