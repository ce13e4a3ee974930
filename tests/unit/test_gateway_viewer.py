"""For whom definitions are remembered: a server that knows its users shows each its own."""

from __future__ import annotations

import pytest

from bascule.config.credentials import Credential
from bascule.config.model import Connector
from bascule.decision.facts import Principal
from bascule.gateway.approval import viewer

ALICE, BOB = Principal("user:alice", "app"), Principal("user:bob", "app")


@pytest.mark.parametrize("kind", ["none", "static", "client_credentials"])
def test_a_server_that_sees_one_identity_serves_all_alike(kind: str) -> None:
    connector = Connector(credential=Credential(kind=kind))  # type: ignore[arg-type]
    assert viewer(connector, ALICE) == viewer(connector, BOB) == ""


@pytest.mark.parametrize("kind", ["per_user", "token_exchange", "id_jag"])
def test_a_server_that_sees_users_is_remembered_for_each(kind: str) -> None:
    connector = Connector(credential=Credential(kind=kind))  # type: ignore[arg-type]
    other = Principal("user:alice", "other")
    assert len({viewer(connector, it) for it in (ALICE, BOB, other)}) == 3


def test_so_is_a_process_of_ones_own() -> None:
    connector = Connector(command=("server",), per_user=True)
    alone = Principal(None, "user:alice")
    assert len({viewer(connector, it) for it in (ALICE, BOB, alone)}) == 3
