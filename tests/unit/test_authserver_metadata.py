"""What the authorization server says of itself, by configuration."""

from __future__ import annotations

import pytest

from bascule.authserver.metadata import metadata
from bascule.config.load import load

MEMBER = "global_token_revocation_endpoint"


def provider(name: str, kind: str = "oidc") -> str:
    issuer = "" if kind == "github" else f'issuer = "https://{name}.example"\n'
    return (
        f'[providers.{name}]\nkind = "{kind}"\nclient_id = "b"\n{issuer}'
        'client_secret = "file:/s"\nadmit.everybody = true\n'
    )


@pytest.mark.parametrize(
    ("providers", "address"),
    [
        ("", None),
        (provider("corp"), "https://g.example/global-token-revocation/corp"),
        (
            provider("corp") + provider("github", "github"),
            "https://g.example/global-token-revocation/corp",
        ),
        (provider("github", "github"), None),
        (provider("corp") + provider("other"), None),
    ],
)
def test_the_one_provider_that_can_order_a_revocation_is_told_where(
    providers: str, address: str | None
) -> None:
    config = load(providers, source="bascule.toml")
    assert metadata("https://g.example", config).get(MEMBER) == address
