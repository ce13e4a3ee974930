"""What strangers send to the authorization server: any bytes are read or refused."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from bascule.authserver.errors import (
    InvalidRequestError,
    InvalidScopeError,
    InvalidTargetError,
)
from bascule.authserver.parameters import MAX_FIELDS, parse
from bascule.authserver.pkce import challenge_of, is_challenge
from bascule.authserver.scopes import requested_connector, requested_scopes
from bascule.authserver.sealed import seal, unseal
from bascule.clock import UnixTime, system_entropy
from bascule.config.load import load
from bascule.identity.client_assertion import (
    InvalidAssertionError,
    claimed_client,
    verify_assertion,
)
from bascule.identity.client_document import (
    InvalidDocumentError,
    address_problem,
    parse_document,
)
from bascule.identity.redirect_uri import is_registered, redirect_uri_problem
from bascule.identity.resource import connector_of

CONFIG = load(
    """
[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:1/mcp"
[connectors.annex]
mode = "observe"
url = "http://127.0.0.1:1/annex"
[scopes]
"desk.echo" = ["desk/echo"]
"both" = ["desk/echo", "annex/*"]
""",
    source="test",
)
REGISTERED = (
    "https://client.example/cb",
    "http://127.0.0.1/cb",
    "http://[::1]:7/cb?a=b",
    "http://localhost/cb",
)
characters = st.characters(codec="utf-8", exclude_characters="\0")
scopes = st.sampled_from(
    ["mcp:desk", "mcp:annex", "desk.echo", "both", "offline_access", "x"]
)


@given(st.binary(max_size=300) | st.text().map(lambda it: it.encode()))
def test_any_form_is_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        parse(text)


@given(
    st.dictionaries(
        st.text(characters, min_size=1, max_size=9),
        st.text(characters, min_size=1, max_size=99),
        max_size=MAX_FIELDS,
    )
)
def test_a_form_is_read_as_it_was_written(form: dict[str, str]) -> None:
    form.pop("resource", None)
    assert parse(urlencode(form).encode()).values == form


@given(
    requested=st.text(max_size=60)
    | st.sampled_from(REGISTERED).flatmap(
        lambda uri: st.text(max_size=4).map(lambda more: uri + more)
    )
    | st.builds(
        lambda uri, at, more: uri[:at] + more + uri[at:],
        st.sampled_from(REGISTERED),
        st.integers(0, 25),
        st.text(":/@.?#%\\0123456789[]xX\t\n ", max_size=6),
    ),
    registered=st.sampled_from(REGISTERED),
)
def test_a_redirect_uri_is_the_registered_one_but_for_a_loopback_port(
    requested: str, registered: str
) -> None:
    if not is_registered(requested, registered) or requested == registered:
        return
    ours, theirs = urlsplit(registered), urlsplit(requested)
    assert theirs.scheme == ours.scheme == "http"
    assert theirs.hostname == ours.hostname
    assert theirs.hostname in {"127.0.0.1", "::1", "localhost"}
    assert theirs.username is None
    assert (theirs.path, theirs.query, theirs.fragment) == (ours.path, ours.query, "")
    assert redirect_uri_problem(requested) is None


@given(asked=st.lists(scopes, min_size=1), connector=st.sampled_from(["desk", "annex"]))
def test_nobody_gets_more_scopes_than_were_asked_for(
    asked: list[str], connector: str
) -> None:
    try:
        given_ = requested_scopes(CONFIG, connector, " ".join(asked))
    except InvalidScopeError:
        return
    assert given_ <= set(asked) or set(asked) == {"offline_access"}
    other = {"desk": "mcp:annex", "annex": "mcp:desk"}[connector]
    assert other not in given_


@given(st.lists(st.text(max_size=40), max_size=3), st.text(max_size=40) | st.none())
def test_any_resource_is_a_connector_of_ours_or_refused(
    resources: list[str], scope: str | None
) -> None:
    with contextlib.suppress(InvalidTargetError):
        assert requested_connector(CONFIG, resources, scope) in CONFIG.connectors


@given(st.text(max_size=80))
def test_any_text_names_a_connector_or_none(text: str) -> None:
    found = connector_of("https://gate.example", text)
    assert found is None or text.lower().startswith(f"https://gate.example/c/{found}/mcp")


@given(st.text())
def test_a_challenge_comes_of_a_verifier_alone(text: str) -> None:
    challenge = challenge_of(text)
    assert challenge is None or is_challenge(challenge)
    assert challenge is None or 43 <= len(text) <= 128


def test_the_challenge_is_the_one_of_the_standard() -> None:
    """RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@given(st.binary(max_size=200) | st.text().map(lambda it: it.encode()))
def test_any_document_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidDocumentError):
        parse_document(body, client_id="https://client.example/id.json")


@given(st.text(max_size=80))
def test_any_address_has_a_problem_or_is_https_with_a_path(text: str) -> None:
    if address_problem(text, None) is None:
        parts = urlsplit(text)
        assert parts.scheme == "https"
        assert parts.hostname
        assert len(parts.path) > 1


@given(st.text(max_size=200))
def test_any_assertion_is_refused_that_nobody_signed(text: str) -> None:
    with contextlib.suppress(InvalidAssertionError):
        verify_assertion(
            text,
            client_id="x",
            jwks='{"keys":[]}',
            audiences=frozenset({"y"}),
            now=UnixTime(1),
            leeway=30,
        )
        raise AssertionError("it was taken")
    claimed_client(text)


@given(secret=st.text(min_size=1), other=st.text(), flip=st.integers(0, 10_000))
def test_what_is_sealed_opens_under_its_secret_alone(
    secret: str, other: str, flip: int
) -> None:
    sealed = seal("successor", under=secret, entropy=system_entropy)
    assert unseal(sealed, under=secret) == "successor"
    if other != secret:
        assert unseal(sealed, under=other) is None
    broken = bytearray(sealed)
    broken[flip % len(broken)] ^= 1
    assert unseal(bytes(broken), under=secret) is None
    assert unseal(sealed[:11], under=secret) is None
