"""Tokens that are bound to the client's certificate, where TLS ends here (RFC 8705)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from bascule.identity.confirmation import certificate_digest
from certificates import Authority, new_authority
from patience import PATIENCE
from system.recorder import Recorder
from system.server import Installation, body_of, headers_of, install

MORE = """
[connectors.safe]
url = "http://127.0.0.1:{port}/mcp"
require = "mtls"
mode = "observe"

[agents.certificates]
nightly = "spiffe://corp.example/ns/shop/nightly"
hosted = "dns:mine.example"
public = "dns:mine.example"
"""
NIGHTLY = "spiffe://corp.example/ns/shop/nightly"


Files = tuple[str, str]
"""A certificate and its key."""


@dataclass(frozen=True, slots=True)
class Site:
    bascule: Installation
    secret: str
    authority: str
    mine: Files
    other: Files
    stranger: Files
    nightly: Files

    def post(self, path: str, shown: Files | None, **more: Any) -> requests.Response:
        """Send something, with a certificate or without one."""
        url = f"https://127.0.0.1:{self.bascule.public}{path}"
        return requests.post(
            url, cert=shown, verify=self.authority, timeout=PATIENCE, **more
        )

    def token(self, shown: Files | None, connector: str = "desk") -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": "headless",
            "client_secret": self.secret,
            "scope": f"mcp:{connector}",
        }
        return self.post("/oauth/token", shown, data=form)

    def by_certificate(
        self, agent: str, shown: Files | None, **more: str
    ) -> requests.Response:
        """Ask for a token for an agent that has nothing but its certificate."""
        form = {"grant_type": "client_credentials", "scope": "mcp:desk", "client_id": agent}
        return self.post("/oauth/token", shown, data={**form, **more})

    def call(self, token: str, shown: Files | None, connector: str = "desk") -> int:
        body = body_of("tools/list")
        headers = headers_of(body, token)
        return self.post(
            f"/c/{connector}/mcp", shown, json=body, headers=headers
        ).status_code


def written(authority: Authority, folder: Path, name: str) -> Files:
    certificate, key = authority.write(folder, name)
    return str(certificate), str(key)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = new_authority()
    trusted = folder / "authority.pem"
    trusted.write_text(authority.pem)
    certificate, key = written(authority, folder, "127.0.0.1")
    tls = (
        f'tls = {{ cert = "file:{certificate}", key = "file:{key}", '
        f'client_ca = "file:{trusted}" }}'
    )
    bascule = install(
        folder / "site", recorder, more=MORE.format(port=recorder.port), server=tls
    )
    text = bascule.config.read_text().replace('public_url = "http:', 'public_url = "https:')
    bascule.config.write_text(text)
    secret = bascule.ask("agent", "add", "headless", "--secret")["client_secret"]
    for name in ("nightly", "hosted", "unnamed"):
        bascule.ask("agent", "add", name, "--workload")
    bascule.ask("agent", "add", "public", "--redirect-uri", "https://a.example/cb")
    bascule.start()
    try:
        yield Site(
            bascule,
            secret,
            str(trusted),
            written(authority, folder, "mine.example"),
            written(authority, folder, "other.example"),
            written(new_authority(), folder, "stranger.example"),
            written(authority, folder, NIGHTLY),
        )
    finally:
        bascule.kill()


def test_a_token_is_bound_to_the_certificate_that_it_was_asked_for_with(site: Site) -> None:
    answer = site.token(site.mine).json()
    assert answer["token_type"] == "Bearer"
    token = answer["access_token"]
    found = [site.call(token, shown) for shown in (site.mine, site.other, None)]
    assert found == [200, 401, 401]
    form = {"token": token, "client_id": "headless", "client_secret": site.secret}
    said = site.post("/oauth/introspect", None, data=form).json()
    der = ssl.PEM_cert_to_DER_cert(Path(site.mine[0]).read_text())
    assert said["cnf"] == {"x5t#S256": certificate_digest(der)}


def test_a_certificate_can_be_demanded(site: Site) -> None:
    refused = site.token(None, "safe")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    token = site.token(site.mine, "safe").json()["access_token"]
    assert site.call(token, site.mine, "safe") == 200
    assert site.call(token, site.other, "safe") == 401
    free = site.bascule.token("alice", "safe")
    assert site.call(free, site.mine, "safe") == 401


def test_who_shows_none_is_served_as_ever(site: Site) -> None:
    token = site.token(None).json()["access_token"]
    assert site.call(token, None) == 200
    assert site.call(token, site.mine) == 200


def test_a_certificate_of_nobody_who_is_trusted_ends_the_connection(site: Site) -> None:
    with pytest.raises(requests.ConnectionError):
        site.token(site.stranger)


def test_an_agent_is_known_by_the_name_in_its_certificate(site: Site) -> None:
    for agent, shown in (("nightly", site.nightly), ("hosted", site.mine)):
        answer = site.by_certificate(agent, shown)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        found = [site.call(token, it) for it in (shown, site.other, None)]
        assert found == [200, 401, 401]
        form = {"token": token, "client_id": agent}
        assert site.post("/oauth/introspect", shown, data=form).json()["active"] is True
        assert site.post("/oauth/introspect", site.other, data=form).status_code == 401
    url = "/.well-known/oauth-authorization-server"
    address = f"https://127.0.0.1:{site.bascule.public}{url}"
    said = requests.get(address, verify=site.authority, timeout=PATIENCE).json()
    assert "tls_client_auth" in said["token_endpoint_auth_methods_supported"]


def test_no_other_certificate_is_the_agent_and_nothing_else_with_it(site: Site) -> None:
    for agent, shown in (
        ("nightly", None),
        ("nightly", site.mine),
        ("nightly", site.other),
        ("hosted", site.nightly),
        ("unnamed", site.nightly),
        ("unknown", site.nightly),
        ("headless", site.mine),
        ("public", site.mine),
    ):
        answer = site.by_certificate(agent, shown)
        assert answer.status_code in {400, 401}, (agent, answer.text)
        assert "access_token" not in answer.text
    for more in ({"client_secret": "x"}, {"client_assertion": "x.y.z"}):
        assert site.by_certificate("nightly", site.nightly, **more).status_code in {
            400,
            401,
        }


def test_a_disabled_agent_has_a_certificate_in_vain(site: Site) -> None:
    assert site.bascule.cli("agent", "disable", "hosted").exit_code == 0
    try:
        assert site.by_certificate("hosted", site.mine).status_code == 401
    finally:
        site.bascule.cli("agent", "enable", "hosted")
