"""As which client Bascule comes to an authorization server, and where that is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_text
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bascule.credentials.link_clients import LinkClients
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import UnusableServerError
from bascule.storage.store import Store
from canned import Heard, json, serving
from linked import TARGET, Shelf
from oauth_state import new_store

HERE = "https://gw.example"
NEAR = replace(TARGET, policy=FetchPolicy(loopback=True, seconds=2))
KNOWS_DOCUMENTS = AuthorizationServer(
    issuer="https://as.example",
    registration_endpoint="http://127.0.0.1:1/",
    client_id_metadata_document_supported=True,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(new_store(tmp_path)) as made:
        yield made


def test_who_is_configured_comes_before_the_document(store: Store) -> None:
    clients = LinkClients(HERE, store, Shelf())
    ours = Client(client_id="ours", issuer="https://as.example", secret="s3cret")
    target = replace(NEAR, client=ours)
    assert asyncio.run(clients.get(target, KNOWS_DOCUMENTS)) is ours
    found = asyncio.run(clients.get(NEAR, KNOWS_DOCUMENTS))
    assert found.client_id == clients.document()["client_id"]
    assert found.method == "none"


def test_where_nothing_is_offered_the_operator_is_told(store: Store) -> None:
    clients = LinkClients(HERE, store, Shelf())
    with pytest.raises(UnusableServerError, match="client_id"):
        asyncio.run(clients.get(NEAR, AuthorizationServer(issuer="https://as.example")))


@pytest.mark.parametrize("here", ["http://localhost:8420", "https://127.0.0.1:8420"])
def test_a_document_that_nobody_could_fetch_is_not_named(store: Store, here: str) -> None:
    clients = LinkClients(here, store, Shelf())
    server = msgspec.structs.replace(KNOWS_DOCUMENTS, registration_endpoint=None)
    with pytest.raises(UnusableServerError):
        asyncio.run(clients.get(NEAR, server))


def test_what_was_registered_is_kept_for_its_issuer_and_our_address_alone(
    store: Store,
) -> None:
    shelf, sent = Shelf(), list[dict[str, object]]()

    def answer(heard: Heard) -> bytes:
        sent.append(json_text.loads(heard.body))
        said = {"client_id": f"client-{len(sent)}", "client_secret": "s3cret"}
        return json("201 Created", said)

    async def run() -> None:
        async with serving(answer) as site:
            found = []
            for here, issuer in (
                (HERE, "https://one"),
                (HERE, "https://one"),
                (HERE, "https://two"),
                ("http://localhost:8420", "https://one"),
            ):
                server = AuthorizationServer(
                    issuer=issuer, registration_endpoint=f"{site.url}/register"
                )
                client = await LinkClients(here, store, shelf).get(NEAR, server)
                found.append((client.client_id, client.issuer))
        assert found == [
            ("client-1", "https://one"),
            ("client-1", "https://one"),
            ("client-2", "https://two"),
            ("client-3", "https://one"),
        ]

    asyncio.run(run())
    assert [it["application_type"] for it in sent] == ["web", "web", "native"]
