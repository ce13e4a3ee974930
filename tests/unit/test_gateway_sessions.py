"""Sessions: any bytes are one or none, whose they are, how long revocations are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bascule.audit.record import AgentPart, CredPart
from bascule.clock import UnixTime, system_entropy
from bascule.decision.facts import Principal
from bascule.gateway.callers import Caller, Callers
from bascule.gateway.handles import Sealer
from bascule.gateway.issuers import Issuers
from bascule.gateway.sessions import (
    MAX_ENDED,
    SESSION_SECONDS,
    Sessions,
    begun,
    usable_upstream_id,
)
from bascule.identity.access_token import AccessToken
from bascule.identity.keys import KeySet
from bascule.identity.revocation import LONGEST_LIFE_SECONDS, Revocation, Revocations
from bascule.protocol.modern import ProtocolError
from bascule.storage.directory import Directory

NOW = UnixTime(1_800_000_000)
TOKEN = AccessToken(
    user="user:alice",
    agent="cli",
    jti="j-1",
    scopes=frozenset(),
    issued_at=NOW,
    expires_at=UnixTime(NOW + 600),
    issue_number=10,
    grant="g-1",
)
ALICE = Caller(
    principal=Principal(user="user:alice", agent="cli"),
    connector="desk",
    token=TOKEN,
    user_part=None,
    agent_part=AgentPart(client_id="cli", verified=True),
    cred_part=CredPart(),
    confirmed=0,
    identity="alice",
)


def callers(*revocations: Revocation, generation: int = 1) -> Callers:
    directory = Directory(generation, {}, {}, Revocations(revocations))
    return Callers(KeySet([]), "https://us.example", directory, Issuers())


def sessions() -> Sessions:
    return Sessions(Sealer(bytes(32), system_entropy), system_entropy)


def begin(made: Sessions, caller: Caller = ALICE) -> bytes:
    """Begin a session and give its id."""
    tag, asks = made.new_tag(), ("roots",)
    session = begun(tag, "2025-11-25", b"raw", "here", asks, caller.token, NOW)
    return made.seal(session, caller.principal, caller.connector).encode()


def refused(
    made: Sessions,
    sealed: bytes | None,
    caller: Caller = ALICE,
    known: Callers | None = None,
    now: UnixTime = NOW,
) -> int:
    with pytest.raises(ProtocolError) as caught:
        made.find(sealed, caller, known or callers(), now)
    return caught.value.status


def test_a_session_is_found_with_all_that_it_holds() -> None:
    made = sessions()
    sealed = begin(made)
    for _ in range(2):  # as it is opened, and as it is known
        found = made.find(sealed, ALICE, callers(), NOW)
        assert found.session.upstream_id == "raw"
        assert found.session.asks == ("roots",)
        assert found.owner == ("user:alice", "cli", "desk", found.session.tag)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_session(value: bytes) -> None:
    assert refused(sessions(), value) == 404


def test_without_an_id_there_is_none() -> None:
    assert refused(sessions(), None) == 400


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, principal=Principal(user="user:bob", agent="cli")),
        replace(ALICE, principal=Principal(user="user:alice", agent="robot")),
        replace(ALICE, principal=Principal(user=None, agent="cli")),
        replace(ALICE, connector="annex"),
    ],
    ids=["user", "agent", "agent itself", "connector"],
)
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_anothers_session_is_none(other: Caller, known: bool) -> None:
    """Whether or not this process has opened it for its owner before."""
    made = sessions()
    sealed = begin(made)
    if known:
        made.find(sealed, ALICE, callers(), NOW)
    assert refused(made, sealed, other) == 404


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_session_expires(known: bool) -> None:
    made = sessions()
    sealed = begin(made)
    if known:
        made.find(sealed, ALICE, callers(), UnixTime(NOW + SESSION_SECONDS - 1))
    assert refused(made, sealed, now=UnixTime(NOW + SESSION_SECONDS)) == 404


REVOKED = {
    "all": "",
    "user": "user:alice",
    "agent": "cli",
    "connector": "desk",
    "jti": "j-1",
    "grant": "g-1",
}


@pytest.mark.parametrize("kind", REVOKED)
@pytest.mark.parametrize(("up_to", "ends"), [(9, False), (10, True)])
def test_a_revocation_ends_what_was_begun_before_it(
    kind: str, up_to: int, ends: bool
) -> None:
    made = sessions()
    sealed = begin(made)
    made.find(sealed, ALICE, callers(), NOW)
    later = Revocation(kind, REVOKED[kind], up_to, NOW)  # type: ignore[arg-type]
    known = callers(later, generation=2)
    if ends:
        assert refused(made, sealed, known=known) == 404
    else:
        assert made.find(sealed, ALICE, known, NOW)


def test_a_revocation_is_kept_as_long_as_a_session_could_live() -> None:
    assert LONGEST_LIFE_SECONDS >= SESSION_SECONDS


def test_an_ended_session_is_remembered_under_any_id() -> None:
    made = sessions()
    sealed, other = begin(made), begin(made)
    held = made.find(sealed, ALICE, callers(), NOW)
    made.end(held)
    assert refused(made, sealed) == 404
    again = made.seal(held.session, ALICE.principal, ALICE.connector)
    assert refused(made, again.encode()) == 404
    assert made.find(other, ALICE, callers(), NOW)


def test_what_is_remembered_is_bounded() -> None:
    made = sessions()
    held = made.find(begin(made), ALICE, callers(), NOW)
    for number in range(MAX_ENDED + 5):
        tagged = structs.replace(held.session, tag=str(number))
        made.end(replace(held, session=tagged))
    assert len(made._ended) == MAX_ENDED


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (b"", True),
        (b"raw/1", True),
        (b"!~", True),
        (b"with space", False),
        (b"\x7f", False),
        (b"\x80", False),
        (b"x" * 1024, True),
        (b"x" * 1025, False),
    ],
)
def test_a_servers_id_is_visible_ascii_and_not_long(value: bytes, usable: bool) -> None:
    assert usable_upstream_id(value) is usable
