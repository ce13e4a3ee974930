"""Behind a real nginx, set up as the documentation says."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority, new_authority
from patience import PATIENCE, until
from ports import free_ports
from system.recorder import Recorder
from system.server import COMMAND, Answer, Installation, body_of, headers_of, install

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "put-it-behind-a-proxy.md"
PROXY, CLIENT, OTHER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Addresses on loopback: nginx connects from the first."""

AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway behind nginx."""

    bascule: Installation
    port: int
    authority: Authority

    def send(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        *,
        source: str = CLIENT,
    ) -> Answer:
        """Send one request through nginx."""
        connection = self.connect(source)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(verb, path, data, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def connect(self, source: str = CLIENT) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            PROXY,
            self.port,
            context=self.authority.trust(),
            source_address=(source, 0),
            timeout=PATIENCE,
        )

    def call(
        self,
        token: str | None,
        method: str,
        source: str = CLIENT,
        params: Mapping[str, Any] | None = None,
        **more: str,
    ) -> Answer:
        body = body_of(method, params)
        headers = {**headers_of(body, token), **more}
        return self.send("POST", "/c/desk/mcp", headers, body, source=source)

    def source_of(self, name: str) -> str:
        """Give the address in the record of a call by that name."""
        (record,) = self.bascule.wait_for_records("--name", name)
        shown = self.bascule.cli("audit", "show", str(record["seq"]), "--json").stdout
        return str(json.loads(shown)["src"]["ip"])


def configured(text: str, port: int) -> str:
    before, _, after = text.partition("\nlisten")
    head = before.partition("public_url")[0]
    return (
        f'{head}public_url = "https://127.0.0.1:{port}"\n'
        f'behind_proxy = ["{PROXY}/32"]\nlisten{after}'
    ).replace("failed_auth_per_minute = 100000", "failed_auth_per_minute = 3")


@contextlib.contextmanager
def nginx(folder: Path, listen: int, to: int, authority: Authority) -> Iterator[None]:
    """Run nginx with the server block of the page."""
    block = PAGE.read_text().partition("```nginx\n")[2].partition("```")[0]
    certificate, key = authority.write(folder, "127.0.0.1")
    for before, after in (
        ("listen 443 ssl", f"listen 127.0.0.1:{listen} ssl"),
        ("/etc/nginx/cert.pem", str(certificate)),
        ("/etc/nginx/key.pem", str(key)),
        ("http://10.0.0.5:8420", f"http://127.0.0.1:{to}"),
    ):
        assert before in block
        block = block.replace(before, after)
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, server=block))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert program is not None, "nginx is missing: run `make system-packages` as root"
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    )

    def listens() -> bool:
        assert process.poll() is None, "nginx did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", listen)) == 0

    try:
        until(listens)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    made = install(folder / "bascule", recorder)
    (port,) = free_ports(1)
    made.config.write_text(configured(made.config.read_text(), port))
    authority = new_authority()
    with nginx(folder, port, made.public, authority):
        made.start()
        try:
            yield Site(made, port, authority)
        finally:
            made.kill()


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"X-Forwarded-For": "203.0.113.77"},
        {"X-Forwarded-For": "203.0.113.77, 127.0.0.1"},
        {"X-Forwarded-For": "garbage"},
        {"Forwarded": "for=203.0.113.77"},
        {"X-Real-IP": "203.0.113.77"},
    ],
)
def test_the_record_has_the_clients_address_whatever_it_says(
    site: Site, header: dict[str, str]
) -> None:
    token = site.bascule.token()
    for source in (CLIENT, OTHER):
        name = f"by {source} with {header}"  # no such tool, but a record of its own
        params = {"name": name, "arguments": {}}
        assert site.call(token, "tools/call", source, params, **header).status == 400
        assert site.source_of(name) == source


def test_a_call_comes_through(site: Site, upstream: Recorder) -> None:
    params = {"name": "echo", "arguments": {"text": "hello"}}
    assert site.call(site.bascule.token(), "tools/call", params=params).status == 200
    (request,) = upstream.take()
    assert b"127.0.0.2" not in request.raw


def test_who_is_no_proxy_is_not_served(site: Site, upstream: Recorder) -> None:
    """Not even with a good token and the words of a proxy."""
    body = body_of("tools/list")
    headers = {
        **headers_of(body, site.bascule.token()),
        "Host": f"127.0.0.1:{site.port}",
        "X-Forwarded-For": PROXY,
    }
    for path in ("/c/desk/mcp", "/healthz", "/.well-known/oauth-authorization-server"):
        connection = http.client.HTTPConnection(
            "127.0.0.1", site.bascule.public, source_address=(OTHER, 0), timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            assert answer.status == 403
            assert b"server.behind_proxy" in answer.read()
            assert answer.headers["Connection"] == "close"
    assert upstream.take() == []


def test_host_and_scheme_come_from_the_configuration(site: Site) -> None:
    lies = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example;proto=http",
    }
    path = "/.well-known/oauth-protected-resource/c/desk/mcp"
    described = site.send("GET", path, lies).json
    url = f"https://127.0.0.1:{site.port}"
    assert described["resource"] == f"{url}/c/desk/mcp"
    assert described["authorization_servers"] == [url]
    challenge = site.call(None, "ping", "127.0.0.9", **lies).headers["www-authenticate"]
    assert f'resource_metadata="{url}{path}"' in challenge


def test_a_host_that_is_not_ours_is_refused(site: Site) -> None:
    answer = site.call(site.bascule.token(), "ping", Host="evil.example")
    assert answer.status == 421
    assert "server.allowed_hosts" in answer.error["message"]


def test_failures_are_counted_for_each_client_and_not_for_the_proxy(site: Site) -> None:
    statuses = [site.call("bad", "ping", "127.0.0.4").status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert site.call("bad", "ping", "127.0.0.5").status == 401
    assert site.call(site.bascule.token(), "tools/list", "127.0.0.4").status == 200


def test_events_come_through_one_by_one(site: Site) -> None:
    body: dict[str, Any] = body_of("subscriptions/listen", {"notifications": {}})
    headers = headers_of(body, site.bascule.token())
    connection = site.connect()
    with contextlib.closing(connection):
        connection.request("POST", "/c/desk/mcp", json.dumps(body), headers)
        response = connection.getresponse()
        assert response.status == 200
        events = (line for line in response if line.startswith(b"data: "))
        assert b"acknowledged" in next(events)
        assert b"list_changed" in next(events)
        response.close()


def test_the_doctor_goes_through_the_proxy(site: Site, tmp_path: Path) -> None:
    command = [*COMMAND, *site.bascule.options, "doctor", "--connector", "desk", "--json"]
    unknown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    (check,) = json.loads(unknown.stdout)["checks"]
    assert (unknown.returncode, check["check"]) == (1, "ready")
    assert "certificate" in check["fix"]
    authority = tmp_path / "authority.pem"
    authority.write_text(site.authority.pem)
    environment = {**os.environ, "SSL_CERT_FILE": str(authority)}
    known = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
    assert known.returncode == 0, known.stdout
