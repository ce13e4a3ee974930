"""Rules of `[workloads]`."""

from __future__ import annotations

import pytest

from bascule.config.load import ConfigError, load

KUBERNETES = 'issuer = "https://k8s.example"\nagent = "a"\n'
SUBJECT = 'subject = "system:serviceaccount:shop:agent"\n'
ENTRA = 'issuer = "https://login.microsoftonline.com/t-1/v2.0"\nagent = "a"\n'


def paths(text: str, more: str = "") -> list[str]:
    try:
        load(f"{more}[workloads.shop]\n{text}", source="bascule.toml")
    except ConfigError as exc:
        return [it.path.removeprefix("workloads.shop") for it in exc.problems]
    return []


def provider(settings: str) -> str:
    client = 'client_id = "b"\nclient_secret = "env:X"\n'
    return f"[providers.corp]\n{client}{settings}\n"


def entra(tenant: str) -> str:
    return f'kind = "entra"\nissuer = "https://login.microsoftonline.com/{tenant}/v2.0"'


@pytest.mark.parametrize(
    "text",
    [
        KUBERNETES + SUBJECT,
        f'{KUBERNETES}subject = "system:serviceaccount:shop:*"',
        f'{KUBERNETES}claims = {{ repository_id = "7" }}',
        f'{KUBERNETES}claims = {{ "kubernetes.io" = {{ namespace = "shop" }} }}',
        f'{KUBERNETES}{SUBJECT}audience = "bascule"\nonce = false',
        f'{KUBERNETES}{SUBJECT}jwks_uri = "https://keys.example/jwks"',
        f'issuer = "http://127.0.0.1:80"\nagent = "a"\n{SUBJECT}',
        f'issuer = "spiffe://corp"\nagent = "a"\n{SUBJECT}keys_file = "/run/b.json"',
    ],
)
def test_sound_workloads(text: str) -> None:
    assert paths(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        # Whatever the platform signs would be the agent.
        (KUBERNETES, ""),
        (f'{KUBERNETES}subject = "*"', ""),
        (f'{KUBERNETES}subject = "**"\nclaims = {{ ref = "*" }}', ""),
        (f'{KUBERNETES}claims = {{ "kubernetes.io" = {{ namespace = "*" }} }}', ""),
        (f'{KUBERNETES}claims = {{ "kubernetes.io" = {{}} }}', ""),
        (f'{KUBERNETES}{SUBJECT}audience = "*"', ".audience"),
        (f'{KUBERNETES}{SUBJECT}audience = "https://*.example"', ".audience"),
        # Keys that came in the clear, or from two places, or from nowhere.
        (f'issuer = "http://k8s.example"\nagent = "a"\n{SUBJECT}', ".issuer"),
        (f'issuer = "spiffe://corp"\nagent = "a"\n{SUBJECT}', ".issuer"),
        (f'issuer = ""\nagent = "a"\n{SUBJECT}', ".issuer"),
        (f'{KUBERNETES}{SUBJECT}jwks_uri = "http://k8s.example/jwks"', ".jwks_uri"),
        (f'{KUBERNETES}{SUBJECT}jwks_uri = "file:///keys"', ".jwks_uri"),
        (f'{KUBERNETES}{SUBJECT}jwks_uri = "https://k"\nkeys_file = "/k"', ""),
        # Bascule does not vouch for anybody to itself.
        (f'issuer = "http://localhost:8420"\nagent = "a"\n{SUBJECT}', ".issuer"),
        # Types.
        (f'{KUBERNETES}claims = {{ ref = "" }}', ".claims.ref"),
        (f"{KUBERNETES}claims = {{ number = 7 }}", ".claims.number"),
        (f'issuer = "https://k8s.example"\n{SUBJECT}', ".agent"),
        (f"{KUBERNETES}{SUBJECT}twice = true", ".twice"),
    ],
)
def test_broken_workloads(text: str, where: str) -> None:
    assert where in paths(text)


@pytest.mark.parametrize(
    ("workload", "settings", "good"),
    [
        (KUBERNETES, 'issuer = "https://login.example"', True),
        (KUBERNETES, 'issuer = "https://k8s.example"', False),
        (
            ENTRA,
            'kind = "entra"\nissuer = "https://login.microsoftonline.com/t-2/v2.0"',
            True,
        ),
        (
            ENTRA,
            'kind = "entra"\nissuer = "https://login.microsoftonline.com/t-1/v2.0"',
            False,
        ),
        *(
            (
                workload,
                f"{entra(tenant)}\nadmit.everybody = true",
                good,
            )
            for tenant in ("common", "organizations")
            for workload, good in ((ENTRA, False), (KUBERNETES, True))
        ),
    ],
)
def test_who_signs_people_in_vouches_for_no_workload(
    workload: str, settings: str, good: bool
) -> None:
    """With many tenants, none of them does."""
    found = paths(workload + SUBJECT, provider(settings))
    assert found == ([] if good else [".issuer"])
