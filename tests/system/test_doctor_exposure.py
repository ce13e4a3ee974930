"""`doctor --exposure` through a real nginx, as it should be and spoilt in one way each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from bascule.cli.schemas import schema_of
from ports import free_ports
from system.proxies import nginx
from system.recorder import Recorder
from system.server import Installation, install

SITE = """\
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{to};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        {inside}
    }}
    {beside}
}}
"""
ADMIN = "127.0.0.1:{admin}"


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway that is to be had through nginx alone."""

    bascule: Installation
    folder: Path
    port: int

    def looked_at(
        self, inside: str = "", beside: str = "", **spoilt: str
    ) -> dict[str, str]:
        """Give the fix of each check that is not well."""
        text = SITE.format(
            port=self.port,
            to=self.bascule.public,
            inside=inside,
            beside=beside.replace("ADMIN", f"127.0.0.1:{self.bascule.admin}"),
        )
        for before, after in spoilt.items():
            text, count = re.subn(rf"(proxy_set_header {before}) [^;]*;", after, text)
            assert count == 1
        with nginx(self.folder, text, self.port):
            result = self.bascule.cli("doctor", "--exposure", "--json")
        found = json.loads(result.stdout)
        jsonschema.validate(found, schema_of("doctor"))
        assert found["ok"] == (result.exit_code == 0)
        return {it["check"]: it["fix"] for it in found["checks"] if not it["ok"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("exposure")
    made = install(folder / "bascule", recorder)
    (port,) = free_ports(1)
    text = made.config.read_text()
    own = f'public_url = "http://127.0.0.1:{made.public}"'
    assert own in text
    behind = f'public_url = "http://localhost:{port}"\nbehind_proxy = ["127.0.0.1/32"]'
    made.config.write_text(text.replace(own, behind))
    made.start()
    try:
        yield Site(made, folder, port)
    finally:
        made.kill()


def test_all_is_well_as_it_should_be(site: Site) -> None:
    assert site.looked_at() == {}


@pytest.mark.parametrize(
    ("check", "inside", "beside", "fix"),
    [
        ("authorization", 'proxy_set_header Authorization "";', "", "`Authorization`"),
        ("origin", 'proxy_set_header Origin "";', "", "`Origin`"),
        ("documents", "", "location /.well-known/openid { return 404; }", ".well-known"),
        ("token_endpoint", "", "location /oauth/token { return 404; }", "/oauth/token"),
        ("jwks_uri", "", "location /oauth/jwks { return 502; }", "/oauth/jwks"),
        ("inside", "", "location /metrics { proxy_pass http://ADMIN; }", "deploy/"),
    ],
)
def test_what_a_proxy_spoils_is_found(
    site: Site, check: str, inside: str, beside: str, fix: str
) -> None:
    wrong = site.looked_at(inside, beside)
    assert list(wrong) == [check]
    assert fix in wrong[check]


def test_a_host_that_the_proxy_writes_itself_is_found(site: Site) -> None:
    wrong = site.looked_at(Host=rf"\1 localhost:{site.port};")
    assert list(wrong) == ["host"]


def test_a_clock_that_is_off_is_found(site: Site) -> None:
    late = 'proxy_hide_header Date; add_header Date "Thu, 01 Jan 2026 00:00:00 GMT" always;'
    assert "clock" in site.looked_at(late)


def test_metadata_of_another_deployment_are_found(site: Site) -> None:
    other = (
        "location = /.well-known/oauth-protected-resource/c/desk/mcp "
        '{ return 200 "{\\"resource\\": \\"https://other.example/c/desk/mcp\\"}"; }'
    )
    # That address is also what a foreign `Host` is tried at.
    assert list(site.looked_at(beside=other)) == ["resource", "host"]


def test_nobody_there_is_found(site: Site) -> None:
    result = site.bascule.cli("doctor", "--exposure", "--json")
    (check,) = json.loads(result.stdout)["checks"]
    assert (result.exit_code, check["check"]) == (1, "reachable")
