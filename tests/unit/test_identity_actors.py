"""Chains of actors in foreign tokens: read whole, or the token is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken
from bascule.identity.actors import MAX_ACTORS, BadActorsError, actors_of
from bascule.identity.revocation import Revocation, Revocations

ISSUER = "https://login.example"


def chain(*actors: dict[str, Any]) -> dict[str, Any]:
    """Nest actors, the nearest first."""
    claims: dict[str, Any] = {}
    for actor in reversed(actors):
        claims = {"act": {**actor, **claims}}
    return claims


def test_the_nearest_comes_first_and_names_its_issuer_or_has_the_tokens() -> None:
    claims = chain(
        {"sub": "orchestrator"},
        {"sub": "service-1", "client_id": "planner"},
        {"sub": "desk", "iss": "https://other.example"},
    )
    assert actors_of(claims, ISSUER) == (
        f"{ISSUER}|orchestrator",
        f"{ISSUER}|planner",
        "https://other.example|desk",
    )
    assert actors_of({"sub": "alice", "may_act": {"sub": "x"}}, ISSUER) == ()


@pytest.mark.parametrize(
    "act",
    [
        None,
        "agent",
        ["agent"],
        {},
        {"sub": ""},
        {"sub": 1},
        {"sub": "a\nb"},
        {"sub": "a" * 256},
        {"sub": "a", "iss": 1},
        {"sub": "a", "iss": "https://a|b"},
        {"sub": "a", "client_id": None},
        {"sub": "a", "act": None},
        {"sub": "a", "act": {"sub": []}},
    ],
    ids=str,
)
def test_a_chain_that_cannot_be_read_is_no_empty_one(act: object) -> None:
    with pytest.raises(BadActorsError):
        actors_of({"act": act}, ISSUER)


def test_a_chain_has_an_end() -> None:
    hops = [{"sub": f"a{n}"} for n in range(MAX_ACTORS)]
    assert len(actors_of(chain(*hops), ISSUER)) == MAX_ACTORS
    with pytest.raises(BadActorsError, match="more than"):
        actors_of(chain(*hops, {"sub": "one more"}), ISSUER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["act", "sub", "iss", "client_id"]), inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_claim_raises_anything_else(act: object) -> None:
    try:
        found = actors_of({"act": act}, ISSUER)
    except BadActorsError:
        return
    assert 0 < len(found) <= MAX_ACTORS


def test_revoking_any_hop_ends_the_token() -> None:
    token = AccessToken(
        user=f"user:{ISSUER}|alice",
        agent=f"{ISSUER}|desk",
        jti="j",
        scopes=frozenset(),
        issued_at=UnixTime(100),
        expires_at=UnixTime(700),
        issue_number=None,
        issuer=ISSUER,
        actors=(f"{ISSUER}|one", f"{ISSUER}|two"),
    )

    def revoked(agent: str) -> bool:
        entry = Revocation("agent", f"{ISSUER}|{agent}", 0, UnixTime(100))
        return Revocations([entry]).covers(token, "tickets")

    assert revoked("one")
    assert revoked("two")
    assert revoked("desk")
    assert not revoked("three")
