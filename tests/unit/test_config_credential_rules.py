"""Which credentials of connectors make sense."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert

from bascule.config.credential_rules import broken_credential_rules
from bascule.config.credentials import Credential

OURS = {
    "kind": "client_credentials",
    "issuer": "https://as.example",
    "client_id": "bascule",
    "client_secret": "file:/run/secrets/as",
    "shared": True,
}
WORKLOAD = {
    "kind": "workload",
    "issuer": "https://as.example",
    "assertion": "file:/run/token",
    "shared": True,
}
EXCHANGE = {**OURS, "kind": "token_exchange", "shared": False, "audience": "api://x"}


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"kind": "static", "value": "env:X", "header": "X-Key", "shared": True},
        OURS,
        {**OURS, "client_secret": None, "client_key": "keyring:a/b", "scopes": ["a"]},
        EXCHANGE,
        {**EXCHANGE, "kind": "id_jag", "audience": None},
        WORKLOAD,
        {"kind": "per_user"},
        {"kind": "per_user", "legacy": True, "dpop": True},
        {"kind": "per_user", "issuer": "https://as.example", "client_id": "x"},
        {**OURS, "issuer": "http://127.0.0.1:8080/as"},
    ],
    ids=str,
)
def test_what_is_right(credential: dict[str, Any]) -> None:
    assert problems(credential) == []


@pytest.mark.parametrize(
    ("credential", "place"),
    [
        ({"value": "env:X"}, ""),
        ({"issuer": "https://a"}, "issuer"),
        ({"kind": "static"}, "value"),
        ({"kind": "static", "value": "env:X", "header": "Host"}, "header"),
        ({"kind": "static", "value": "env:X", "header": "DPoP"}, "header"),
        ({"kind": "static", "value": "env:X", "client_id": "x"}, "client_id"),
        ({**OURS, "issuer": None}, "issuer"),
        ({**OURS, "issuer": "http://as.example"}, "issuer"),
        ({**OURS, "issuer": "https://u@as.example"}, "issuer"),
        ({**OURS, "issuer": "https://as.example/?a"}, "issuer"),
        ({**OURS, "client_id": None}, "client_id"),
        ({**OURS, "client_secret": None}, "client_secret"),
        ({**OURS, "client_key": "env:X"}, "client_key"),
        ({**OURS, "value": "env:X"}, "value"),
        ({**OURS, "audience": "x"}, "audience"),
        ({**OURS, "header": "X-Key"}, "header"),
        ({**EXCHANGE, "shared": True}, "shared"),
        ({**EXCHANGE, "kind": "id_jag"}, "audience"),
        ({"kind": "id_jag"}, "client_secret"),
        ({"kind": "per_user", "client_secret": "env:X"}, "client_id"),
        ({"kind": "per_user", "client_id": "x"}, "issuer"),
        (
            {"kind": "per_user", "legacy": True, "issuer": "https://as.example"},
            "legacy",
        ),
        ({**OURS, "legacy": True}, "legacy"),
        ({**OURS, "dpop": True}, "dpop"),
        ({**OURS, "assertion": "file:/run/token"}, "assertion"),
        ({**WORKLOAD, "assertion": "env:X"}, "assertion"),
        ({**WORKLOAD, "assertion": None}, "assertion"),
        ({**WORKLOAD, "issuer": None}, "issuer"),
        ({**WORKLOAD, "client_id": "x"}, "client_id"),
        ({"kind": "per_user", "shared": True}, "shared"),
    ],
    ids=str,
)
def test_what_is_wrong(credential: dict[str, Any], place: str) -> None:
    assert f"c.{place}".rstrip(".") in problems(credential)


def test_a_hosted_server_gets_no_token() -> None:
    found = convert(OURS, Credential)
    assert [path for path, _ in broken_credential_rules("c", found, hosted=True)] == ["c"]


def problems(credential: dict[str, Any]) -> list[str]:
    found = convert(credential, Credential)
    return [path for path, _ in broken_credential_rules("c", found, hosted=False)]
