"""Subject identifiers: all whom one names are named, and none of another issuer."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.clock import UnixTime
from bascule.config.providers import Signals
from bascule.identity.notice import InvalidNoticeError, Notice
from bascule.identity.security_events import SESSION_REVOKED, events_of
from bascule.identity.subject_identifier import Subject, subjects_of

CORP = "https://login.corp.example"
DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
ALICE = {"format": "iss_sub", "iss": CORP, "sub": "alice"}
UNKNOWN = {"format": "opaque", "id": "e-17"}
SESSION = {"format": "opaque", "id": "s-1"}
BY_EMAIL = {"format": "email", "email": "alice@corp.example"}


def notice(**claims: Any) -> Notice:
    return Notice(
        issuer=CORP,
        signed_as=CORP,
        claims=claims,
        digest=b"digest",
        expires_at=UnixTime(1_800_000_000),
    )


def test_each_alias_is_named_so_that_none_that_is_known_is_missed() -> None:
    aliases = {"format": "aliases", "identifiers": [UNKNOWN, BY_EMAIL, ALICE]}
    assert subjects_of(aliases, notice()) == (
        Subject("external", "e-17"),
        Subject("user", "alice"),
    )


def test_a_complex_one_names_user_and_session() -> None:
    both = {"format": "complex", "user": ALICE, "session": SESSION}
    assert subjects_of(both, notice()) == (
        Subject("user", "alice"),
        Subject("session", "s-1"),
    )


@pytest.mark.parametrize(
    "identifier",
    [None, {}, [], "alice", BY_EMAIL, {"format": "aliases", "identifiers": [BY_EMAIL]}],
)
def test_what_names_nobody_is_not_confirmed(identifier: object) -> None:
    with pytest.raises(InvalidNoticeError):
        subjects_of(identifier, notice())


def test_another_issuers_user_is_none_of_the_aliases_either() -> None:
    other = {**ALICE, "iss": "https://login.other.example"}
    aliases = {"format": "aliases", "identifiers": [ALICE, other]}
    with pytest.raises(InvalidNoticeError):
        subjects_of(aliases, notice())


def test_an_event_about_an_account_must_name_its_user() -> None:
    named = {"format": "complex", "user": BY_EMAIL, "session": SESSION}
    about_a_session = notice(sub_id=named, events={SESSION_REVOKED: {}})
    (event,) = events_of(about_a_session, Signals())
    assert event.subjects == (Subject("session", "s-1"),)
    with pytest.raises(InvalidNoticeError):
        events_of(notice(sub_id=named, events={DISABLED: {}}), Signals())
