"""What a client may say of itself when it registers."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from bascule.identity.client_registration import (
    BadRegistrationError,
    parse_registration,
    registered_keys,
)

KEY = ECKey.generate_key("P-256")
GOOD: dict[str, Any] = {"redirect_uris": ["https://client.example/cb"]}


def parsed(**change: Any) -> Any:
    document = {name: it for name, it in {**GOOD, **change}.items() if it is not None}
    return parse_registration(json.dumps(document).encode())


def test_little_is_needed_and_much_is_ignored() -> None:
    found = parsed(scope="everything", contacts=["a@b"], software_statement="x.y.z")
    assert found.client_name == "an app without a name"
    assert found.token_endpoint_auth_method == "client_secret_basic"
    assert registered_keys(found) is None


@pytest.mark.parametrize(
    "uris",
    [
        [],
        None,
        ["http://client.example/cb"],
        ["https://client.example/cb#x"],
        ["https://user@client.example/cb"],
        ["javascript:alert(1)"],
        ["app://cb"],
        ["https://client.example/cb", "data:text/html,x"],
        ["https://client.example/cb"] * 21,
    ],
    ids=lambda uris: str(uris)[:40],
)
def test_redirects_are_https_or_local(uris: Any) -> None:
    with pytest.raises(BadRegistrationError) as caught:
        parsed(redirect_uris=uris)
    assert caught.value.parameter == "redirect_uris"


@pytest.mark.parametrize(
    ("kind", "uri", "taken"),
    [
        ("native", "http://127.0.0.1/cb", True),
        ("native", "https://client.example/cb", True),
        ("web", "https://client.example/cb", True),
        ("web", "http://localhost/cb", False),
        ("web", "https://127.0.0.1/cb", False),
        (None, "http://localhost/cb", True),
    ],
)
def test_a_web_application_is_not_local(kind: str | None, uri: str, taken: bool) -> None:
    expected = contextlib.nullcontext() if taken else pytest.raises(BadRegistrationError)
    with expected:
        parsed(application_type=kind, redirect_uris=[uri])


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": "https://client.example/cb"},
        {"redirect_uris": [5]},
        {"client_name": "a\u202eb"},
        {"client_name": " "},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"application_type": "other"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadRegistrationError):
        parsed(**change)


def test_keys_must_be_there_and_public() -> None:
    keys = {"keys": [KEY.as_dict(private=False)]}
    found = parsed(token_endpoint_auth_method="private_key_jwt", jwks=keys)
    assert json.loads(str(registered_keys(found)))["keys"][0]["crv"] == "P-256"
    private = {"keys": [KEY.as_dict(private=True)]}
    for jwks in (None, private, {"keys": []}):
        bad = parsed(token_endpoint_auth_method="private_key_jwt", jwks=jwks)
        with pytest.raises(BadRegistrationError):
            registered_keys(bad)


@given(st.binary() | st.text().map(lambda text: text.encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadRegistrationError):
        parse_registration(body)
