"""Which tokens a revocation covers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken
from bascule.identity.revocation import Kind, Revocation, Revocations

NOW = UnixTime(1_800_000_000)
TOKEN = AccessToken(
    user="user:alice",
    agent="cli",
    jti="j-1",
    scopes=frozenset(),
    issued_at=NOW,
    expires_at=UnixTime(NOW + 600),
    issue_number=7,
    grant="g-1",
)
NAMED: list[tuple[Kind, str]] = [
    ("all", ""),
    ("user", "user:alice"),
    ("agent", "cli"),
    ("connector", "tickets"),
    ("jti", "j-1"),
    ("grant", "g-1"),
]


def covers(kind: Kind, key: str, token: AccessToken = TOKEN, up_to: int = 7) -> bool:
    entry = Revocation(kind, key, up_to, NOW)
    return Revocations([entry]).covers(token, "tickets")


@pytest.mark.parametrize(("kind", "key"), NAMED)
def test_what_it_names_is_covered(kind: Kind, key: str) -> None:
    assert covers(kind, key)


@pytest.mark.parametrize(("kind", "key"), NAMED)
def test_what_was_issued_later_is_not(kind: Kind, key: str) -> None:
    assert not covers(kind, key, replace(TOKEN, issue_number=8))


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("user", "user:bob"),
        ("user", "alice"),
        ("user", "cli"),
        ("agent", "user:alice"),
        ("connector", "notes"),
        ("jti", "g-1"),
        ("grant", "j-1"),
        ("user", ""),
        ("grant", ""),
    ],
)
def test_others_are_not(kind: Kind, key: str) -> None:
    assert not covers(kind, key)


def test_an_agent_by_itself_is_not_covered_by_a_user_or_grant() -> None:
    alone = replace(TOKEN, user=None, grant=None)
    assert not covers("user", "user:alice", alone)
    assert not covers("grant", "g-1", alone)
    assert covers("agent", "cli", alone)


@pytest.mark.parametrize(("kind", "key"), NAMED)
def test_a_foreign_token_is_covered_up_to_the_second(kind: Kind, key: str) -> None:
    foreign = replace(TOKEN, issue_number=None)
    assert covers(kind, key, foreign, up_to=0)
    assert not covers(kind, key, replace(foreign, issued_at=UnixTime(NOW + 1)), up_to=9)


def test_nothing_is_covered_by_nothing() -> None:
    assert not Revocations([]).covers(TOKEN, "tickets")
