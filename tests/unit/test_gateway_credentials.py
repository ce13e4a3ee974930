"""What who calls is told where there is nothing to show a server, and what they are not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable
from typing import Any, cast

import pytest

from bascule.clock import system_clock
from bascule.credentials.issued import IssuedTokens
from bascule.decision.facts import Principal
from bascule.gateway import refusal
from bascule.gateway.credentials import CredentialError, Tokens
from bascule.gateway.exchange import Exchange
from bascule.oauthclient.errors import (
    GrantRefusedError,
    NotVouchedError,
    OAuthClientError,
    ServerUnavailableError,
    SignInAgainError,
    UnusableServerError,
)

ALICE = Principal("user:alice", "app")
SECRET = "words-of-a-stranger"


class Client:
    """The client's side: what it is told."""

    streaming = False

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, json.loads(body)


def failing(problem: OAuthClientError) -> Tokens:
    async def ask(_: Hashable) -> Any:
        raise problem

    return Tokens(IssuedTokens(ask, system_clock, lambda: 0), lambda it: it.user)


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (SignInAgainError(SECRET), 502, "sign in to Bascule"),
        (NotVouchedError(SECRET), 502, "does not vouch for you"),
        (GrantRefusedError("invalid_scope", SECRET), 502, "refuses to give one"),
        (UnusableServerError(SECRET), 502, "cannot be used"),
        (ServerUnavailableError(SECRET), 503, "try again later"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_each_party_that_refuses_is_told_apart(
    problem: OAuthClientError, status: int, words: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        asyncio.run(failing(problem).get(ALICE))
    client = Client()
    refusal.upstream_failed(cast("Exchange", client), 7, caught.value)
    error = client.body["error"]
    assert (client.status, error["code"], client.body["id"]) == (status, status, 7)
    assert words in error["message"]
    assert SECRET not in str(client.body)
    assert (b"Retry-After" in client.headers) == (status == 503)
    assert caught.value.outcome == "credential_failed"
