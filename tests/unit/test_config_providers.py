"""Rules of `[providers]`."""

from __future__ import annotations

import pytest

from bascule.config.event_names import CAEP, KNOWN_NAMES, KNOWN_URIS
from bascule.config.load import ConfigError, load
from bascule.identity.security_events import REVOKING

GOOD = 'client_id = "b"\nclient_secret = "file:/s"\n'
MISSPELT = ".signals.events.token-claim-change"
OIDC = f'issuer = "https://login.example"\n{GOOD}'


def paths(text: str) -> list[str]:
    try:
        load(f"[providers.corp]\n{text}", source="bascule.toml")
    except ConfigError as exc:
        return [it.path.removeprefix("providers.corp") for it in exc.problems]
    return []


@pytest.mark.parametrize(
    "text",
    [
        OIDC,
        'issuer = "https://login.example"\nclient_id = "b"\nclient_key = "file:/k"',
        f'kind = "google"\n{GOOD}admit.domains = ["corp.example"]',
        f'kind = "google"\n{GOOD}admit.everybody = true',
        f'kind = "github"\n{GOOD}admit.groups = ["staff"]',
        f'kind = "entra"\nissuer = "https://login.microsoftonline.com/t-1/v2.0"\n{GOOD}',
        'kind = "entra"\nissuer = "https://login.microsoftonline.com/organizations/v2.0"\n'
        f'{GOOD}admit.tenants = ["t-1"]',
        f'{OIDC}scim = {{ token = "env:T", claim = "employee_id" }}',
        f'{OIDC}signals.events = {{ token-claims-change = "ignore" }}',
        f'{OIDC}signals.events = {{ "{CAEP}session-revoked" = "ignore" }}',
        f'{OIDC}signals.events = {{ "urn:corp:event:left" = "revoke" }}',
    ],
)
def test_sound_providers(text: str) -> None:
    assert paths(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD, ".issuer"),
        (f'issuer = "http://login.example"\n{GOOD}', ".issuer"),
        (f'issuer = "https://a.example/x|y"\n{GOOD}', ".issuer"),
        (f'issuer = "https://a.example?x=y"\n{GOOD}', ".issuer"),
        (f'issuer = "http://localhost:8420"\n{GOOD}', ".issuer"),
        ('issuer = "https://a.example"\nclient_id = "b"', ""),
        (f'{OIDC}client_key = "file:/k"', ""),
        (
            'issuer = "https://a.example"\nclient_id = ""\nclient_key = "env:K"',
            ".client_id",
        ),
        (
            'kind = "entra"\nissuer = "https://login.microsoftonline.com/common/v2.0"\n'
            f'{GOOD}admit.tenants = ["t-1"]\nscim.token = "file:/t"',
            ".scim",
        ),
        (f'kind = "github"\n{GOOD}admit.groups = ["a"]\nscim.token = "env:T"', ".scim"),
        (f'{OIDC}scim = {{ token = "env:T", claim = "email" }}', ".scim.claim"),
        (f'{OIDC}scim.token = "the token itself"', ".scim.token"),
        (f'{OIDC}admit.domains = ["corp.example"]', ".admit.domains"),
        (f'{OIDC}admit.tenants = ["t"]', ".admit.tenants"),
        (f'{OIDC}admit.everybody = true\nadmit.groups = ["a"]', ".admit.everybody"),
        (f'{OIDC}api = "https://api.example"', ".api"),
        # Anybody has an account there.
        (f'kind = "google"\n{GOOD}', ".admit.domains"),
        (f'kind = "github"\n{GOOD}', ".admit.groups"),
        (
            'kind = "entra"\nissuer = "https://login.microsoftonline.com/common/v2.0"\n'
            f'{GOOD}admit.groups = ["a"]',
            ".admit.tenants",
        ),
        (
            'kind = "entra"\nissuer = "https://login.microsoftonline.com/consumers/v2.0"\n'
            f"{GOOD}",
            ".issuer",
        ),
        (f'kind = "entra"\nissuer = "https://sts.windows.net/t/"\n{GOOD}', ".issuer"),
        (f'{OIDC}signals.events = {{ token-claim-change = "ignore" }}', MISSPELT),
        (
            f'{OIDC}signals.events = {{ "{CAEP}session-revokd" = "revoke" }}',
            f'.signals.events."{CAEP}session-revokd"',
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, where: str) -> None:
    assert paths(text) == [where]


def test_a_misspelt_event_is_answered_with_the_names_that_there_are() -> None:
    text = f'[providers.corp]\n{OIDC}signals.events = {{ account-disable = "ignore" }}'
    with pytest.raises(ConfigError, match="`account-disabled`, `account-enabled`"):
        load(text, source="bascule.toml")


def test_every_event_that_does_something_is_known_by_its_last_part() -> None:
    assert set(REVOKING) <= KNOWN_URIS
    assert len(set(KNOWN_NAMES)) == len(KNOWN_URIS)


def test_each_provider_has_a_scim_token_of_its_own() -> None:
    other = 'scim.token = "env:T"\n[providers.other]\nissuer = "https://other.example"\n'
    assert paths(f'{OIDC}{other}{GOOD}scim.token = "env:U"') == []
    found = paths(f'{OIDC}{other}{GOOD}scim.token = "env:T"')
    assert found == ["providers.other.scim.token"]


def test_one_issuer_has_one_provider() -> None:
    assert paths(f"{OIDC}[providers.other]\n{OIDC}") == ["providers.other.issuer"]


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    secret = "hunter2 of the provider"
    text = f'[providers.corp]\nclient_id = "b"\nclient_secret = "{secret}"'
    with pytest.raises(ConfigError) as caught:
        load(text, source="bascule.toml")
    assert secret not in str(caught.value)
