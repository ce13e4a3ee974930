"""Challenges are good for what they were made for; answers are right or refused."""

from __future__ import annotations

import base64
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.authserver.challenges import LIFETIME_SECONDS, Challenge, Challenges
from bascule.authserver.passkeys import PasskeyError, RelyingParty, credential_of
from bascule.clock import UnixTime
from bascule.storage.passkeys import Passkey

NOW = UnixTime(1_800_000_000)
KEY = b"k" * 32
MAKER = Challenges(KEY, lambda size: b"c" * size)
SITE = RelyingParty("gate.example", "https://gate.example")
CHALLENGE, STATE = MAKER.issue("login", browser="b", subject="s", now=NOW)
PASSKEY = Passkey(b"id", "alice", b"h", b"key", 0, NOW, None)


def recognize(
    text: str = STATE,
    purpose: Literal["login", "register"] = "login",
    browser: str = "b",
    subject: str = "s",
    now: int = NOW,
    maker: Challenges = MAKER,
) -> Challenge | None:
    return maker.recognize(
        text, purpose, browser=browser, subject=subject, now=UnixTime(now)
    )


def test_a_challenge_is_known_again() -> None:
    assert recognize() == CHALLENGE
    assert recognize(now=NOW + LIFETIME_SECONDS - 1) == CHALLENGE


def test_a_challenge_is_for_one_purpose_browser_subject_key_and_time() -> None:
    assert recognize(purpose="register") is None
    assert recognize(browser="c") is None
    assert recognize(subject="t") is None
    assert recognize(browser="bs", subject="") is None, "parts do not run together"
    assert recognize(now=NOW + LIFETIME_SECONDS) is None
    assert recognize(maker=Challenges(b"l" * 32, MAKER.entropy)) is None


@given(st.integers(0, len(STATE) - 1), st.characters())
def test_a_changed_text_is_no_challenge(place: int, character: str) -> None:
    changed = STATE[:place] + character + STATE[place + 1 :]
    assert (recognize(changed) is None) is (changed != STATE)


@given(
    st.one_of(
        st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    )
)
def test_any_text_is_a_challenge_or_none(text: str) -> None:
    assert recognize(text) is None


def test_a_user_handle_says_nothing_and_stays() -> None:
    assert MAKER.user_handle("user:alice") == MAKER.user_handle("user:alice")
    assert MAKER.user_handle("user:alice") != MAKER.user_handle("user:bob")
    assert b"alice" not in MAKER.user_handle("user:alice")


@pytest.mark.parametrize(
    ("host", "possible"),
    [
        ("localhost", True),
        ("gate.example", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_passkeys_are_for_names(host: str, possible: bool) -> None:
    assert RelyingParty(host, f"http://{host}").possible is possible


KEYS = ["id", "rawId", "type", "response", "clientDataJSON", "signature"]
KEYS += ["authenticatorData", "attestationObject", "userHandle", "x"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=12,
)


@given(st.one_of(st.text(), JSON.map(lambda value: json.dumps(value))))
def test_any_answer_is_refused_by_the_one_error(answer: str) -> None:
    with pytest.raises(PasskeyError):
        SITE.verify_new(answer, CHALLENGE, user_handle=b"h")
    with pytest.raises(PasskeyError):
        SITE.verify_use(answer, CHALLENGE, PASSKEY)
    try:
        credential_of(answer)
    except PasskeyError:
        return


def test_an_answer_that_was_made_within_another_site_is_refused() -> None:
    sealed = base64.urlsafe_b64encode(b'{"crossOrigin": true}').decode()
    answer = json.dumps({"response": {"clientDataJSON": sealed}})
    with pytest.raises(PasskeyError, match="another site"):
        SITE.verify_new(answer, CHALLENGE, user_handle=b"h")
    with pytest.raises(PasskeyError, match="another site"):
        SITE.verify_use(answer, CHALLENGE, PASSKEY)


@pytest.mark.parametrize("answer", ["[" * 100_000, '{"a":' * 6000, "1" * 5000])
def test_an_answer_that_is_deep_or_long_is_refused(answer: str) -> None:
    with pytest.raises(PasskeyError):
        SITE.verify_new(answer, CHALLENGE, user_handle=b"h")
    with pytest.raises(PasskeyError):
        credential_of(answer)
