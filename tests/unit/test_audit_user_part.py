"""How a record names a user, of ours or of an issuer, whatever is in the subject."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from bascule.audit.record import UserPart, user_part


@pytest.mark.parametrize(
    ("user", "issuer", "subject"),
    [
        ("user:alice", UNSET, "alice"),
        ("user:https://corp.example|17", "https://corp.example", "17"),
        ("user:https://corp.example/|auth0|17", "https://corp.example/", "auth0|17"),
    ],
    ids=["ours", "an issuer's", "a bar in the subject"],
)
def test_a_user_in_a_record(user: str, issuer: str, subject: str) -> None:
    assert user_part(user) == UserPart(iss=issuer, sub=subject)
