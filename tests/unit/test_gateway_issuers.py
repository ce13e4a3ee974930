"""Tokens of foreign issuers that were verified before the configuration changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime, system_clock
from bascule.config.model import Issuer
from bascule.gateway.callers import Callers, UnauthenticatedError
from bascule.gateway.issuers import Issuers
from bascule.identity.issuer_documents import read_keys
from bascule.identity.keys import KeySet
from bascule.identity.revocation import Revocations
from bascule.storage.directory import Directory
from foreign import jwks, signer

ISSUER = "https://corp.example"
KEY = signer("first", "ES256")
RULES = Issuer(issuer=ISSUER, audiences={"desk": "api://desk"})


def take_up(callers: Callers, rules: Issuer) -> None:
    """Take up a configuration and read the keys, which are the same as ever."""
    callers.issuers.configure({"corp": rules})
    for issuer in callers.issuers.every():
        issuer.keys = read_keys(jwks(KEY))
    callers.look_again()


def scopes(callers: Callers, token: bytes, now: UnixTime) -> frozenset[str]:
    caller = callers.authenticate(b"Bearer " + token, "desk", "https://us.example", now)
    return caller.principal.scopes


@pytest.mark.parametrize(
    "rules",
    [
        replace(RULES, audiences={"annex": "api://desk"}),
        replace(RULES, client_claim="azp"),
    ],
    ids=["another audience", "another claim"],
)
def test_a_token_that_was_let_in_is_read_anew_under_other_rules(rules: Issuer) -> None:
    now = system_clock()
    claims = {"iss": ISSUER, "aud": "api://desk", "sub": "ann", "client_id": "app"}
    token = KEY.sign({**claims, "iat": now, "exp": now + 600, "jti": "1"})
    directory = Directory(1, {}, {}, Revocations([]))
    callers = Callers(KeySet([]), "https://us.example", directory, Issuers())
    take_up(callers, RULES)
    before = scopes(callers, token, now)
    take_up(callers, RULES)
    assert scopes(callers, token, now) == before
    take_up(callers, rules)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            scopes(callers, token, now)
