"""Client ID metadata documents: which addresses are read, and which documents count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey

from bascule.identity.client_document import (
    MAX_REDIRECT_URIS,
    InvalidDocumentError,
    address_problem,
    parse_document,
)

ID = "https://client.example/app/id.json"
KEY = ECKey.generate_key("P-256")
JWKS = {"keys": [KEY.as_dict(private=False)]}
GOOD: dict[str, Any] = {
    "client_id": ID,
    "client_name": "The  Client",
    "redirect_uris": ["https://client.example/cb", "http://127.0.0.1/cb"],
}


def parsed(**change: Any) -> Any:
    document = {name: it for name, it in {**GOOD, **change}.items() if it is not None}
    return parse_document(json.dumps(document).encode(), client_id=ID)


def test_a_public_client_is_known_by_its_document() -> None:
    found = parsed(logo_uri="https://client.example/logo.png", unknown={"a": [1]})
    assert found.client_id == ID
    assert found.name == "The Client"
    assert found.redirect_uris == tuple(GOOD["redirect_uris"])
    assert (found.auth_method, found.jwks, found.jwks_uri) == ("none", None, None)


def test_a_client_with_keys_says_them_or_where_they_are() -> None:
    found = parsed(token_endpoint_auth_method="private_key_jwt", jwks=JWKS)
    assert found.auth_method == "private_key_jwt"
    assert json.loads(found.jwks)["keys"][0]["x"] == JWKS["keys"][0]["x"]
    elsewhere = parsed(
        token_endpoint_auth_method="private_key_jwt", jwks_uri="https://client.example/keys"
    )
    assert elsewhere.jwks_uri == "https://client.example/keys"


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": f"{ID}/"},
        {"client_id": ID.upper()},
        {"client_id": "https://client.example:443/app/id.json"},
        {"client_id": None},
        {"client_id": 5},
        {"client_name": None},
        {"client_name": "  "},
        {"client_name": "a\u202eb"},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "https://client.example/cb"},
        {"redirect_uris": ["http://client.example/cb"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["app://cb"]},
        {"redirect_uris": ["https://client.example/cb#x"]},
        {"redirect_uris": ["https://a.example/"] * (MAX_REDIRECT_URIS + 1)},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": JWKS,
            "jwks_uri": "https://client.example/keys",
        },
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.as_dict(private=True)]},
        },
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [OctKey.generate_key(256).as_dict(private=True)]},
        },
        {"client_secret": "bsc_ck_x"},
        {"client_secret_expires_at": 0},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
    ],
)
def test_a_document_with_one_wrong_member_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError):
        parsed(**change)


@pytest.mark.parametrize(
    "client_id",
    [
        "http://client.example/id.json",
        "https://client.example",
        "https://client.example/",
        "https://client.example/a/../id.json",
        "https://client.example/./id.json",
        "https://client.example/a/%2e%2E/id.json",
        "https://client.example/a/..",
        "https://client.example/id.json#x",
        "https://client.example/id.json#",
        "https://user@client.example/id.json",
        "https://user:pw@client.example/id.json",
        "https://client.example/a|b",
        "https:///id.json",
        "https://client.example\\@evil.example/id.json",
        "https://client.example/" + "x" * 300,
        "ftp://client.example/id.json",
        "client.example/id.json",
        "https://client.example:0/id.json",
        "https://client example/id.json",
        "",
    ],
)
def test_an_address_that_is_none_for_a_document_is_not_read(client_id: str) -> None:
    assert address_problem(client_id, None) is not None


@pytest.mark.parametrize(
    ("domains", "allowed"),
    [
        (None, True),
        ((), False),
        (("client.example",), True),
        (("CLIENT.example",), False),
        (("*.example",), True),
        (("*.client.example",), False),
        (("example",), False),
        (("other.example", "client.example"), True),
    ],
)
def test_domains_say_whose_documents_are_read(
    domains: tuple[str, ...] | None, allowed: bool
) -> None:
    assert (address_problem(ID, domains) is None) is allowed


def test_a_domain_is_not_the_end_of_another() -> None:
    domains = ("client.example", "*.good.example")
    for host in ("evilclient.example", "client.example.evil.example", "evilgood.example"):
        assert address_problem(f"https://{host}/id.json", domains) is not None
    assert address_problem("https://a.b.good.example/id.json", domains) is None
    assert address_problem("https://CLIENT.EXAMPLE/id.json", domains) is None
