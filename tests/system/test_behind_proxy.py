"""Behind real proxies, set up by the files that the documentation names."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import posixpath
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from certificates import Authority, new_authority
from patience import PATIENCE
from ports import free_ports
from system.proxies import ADDRESS as PROXY
from system.proxies import FILES, SERVED_NAME, proxy
from system.recorder import Recorder
from system.server import COMMAND, Answer, Installation, body_of, headers_of, install

CLIENT, OTHER = "127.0.0.2", "127.0.0.3"
"""Addresses on loopback; proxies connect from another one."""


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway behind a proxy."""

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
        """Send one request through the proxy."""
        connection = self.connect(source)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(verb, path, data, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def connect(self, source: str = CLIENT) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            SERVED_NAME,
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

    def sources(self, name: str, count: int) -> list[str]:
        """Give the addresses in the records of calls by that name, in their order."""
        records = self.bascule.wait_for_records("--name", name, count=count)
        shown = [
            self.bascule.cli("audit", "show", str(it["seq"]), "--json").stdout
            for it in records
        ]
        return [str(json.loads(it)["src"]["ip"]) for it in shown]


def configured(text: str, port: int) -> str:
    before, _, after = text.partition("\nlisten")
    head = before.partition("public_url")[0]
    after = after.replace(
        "[connectors.annex]\n",
        f'[connectors.annex]\nboundary = {{ reachable_from = ["{CLIENT}/32"] }}\n',
    )
    return (
        f'{head}public_url = "https://{SERVED_NAME}:{port}"\n'
        f'behind_proxy = ["{PROXY}/32"]\nlisten{after}'
    ).replace("failed_auth_per_minute = 100000", "failed_auth_per_minute = 9")


@pytest.fixture(scope="module", params=FILES)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    recorder: Recorder,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    made = install(folder / "bascule", recorder)
    (port,) = free_ports(1)
    made.config.write_text(configured(made.config.read_text(), port))
    authority = new_authority()
    with proxy(request.param, folder, port, made.public, authority):
        made.start()
        try:
            yield Site(made, port, authority)
        finally:
            made.kill()


LIES: tuple[dict[str, str], ...] = (
    {},
    {"X-Forwarded-For": "203.0.113.77"},
    {"X-Forwarded-For": "203.0.113.77, 127.0.0.1"},
    {"X-Forwarded-For": "garbage"},
    {"Forwarded": "for=203.0.113.77"},
    {"X-Real-IP": "203.0.113.77"},
)


def test_the_record_has_the_clients_address_whatever_it_says(site: Site) -> None:
    token = site.bascule.token()
    params = {"name": "nobody has it", "arguments": {}}  # recorded all the same
    expected = [CLIENT, OTHER] * len(LIES)
    for said in LIES:
        for source in (CLIENT, OTHER):
            assert site.call(token, "tools/call", source, params, **said).status == 400
    assert site.sources("nobody has it", len(expected)) == expected


def test_a_call_comes_through(site: Site, upstream: Recorder) -> None:
    params = {"name": "echo", "arguments": {"text": "hello"}}
    assert site.call(site.bascule.token(), "tools/call", params=params).status == 200
    (request,) = upstream.take()
    assert b"127.0.0.2" not in request.raw


def test_a_boundary_is_held_against_the_client_not_the_proxy(
    site: Site, upstream: Recorder
) -> None:
    body = body_of("tools/list")
    headers = headers_of(body, site.bascule.token(connector="annex"))
    for said in (CLIENT, f"{CLIENT}, {PROXY}", "::ffff:127.0.0.2"):
        forged = {**headers, "X-Forwarded-For": said}
        found = [
            site.send("POST", "/c/annex/mcp", forged, body, source=source)
            for source in (CLIENT, OTHER)
        ]
        assert [it.status for it in found] == [200, 400], said
    assert len(upstream.take()) == 3


def test_who_is_no_proxy_is_not_served(site: Site, upstream: Recorder) -> None:
    """Not even with a good token and the words of a proxy."""
    body = body_of("tools/list")
    headers = {
        **headers_of(body, site.bascule.token()),
        "Host": f"{SERVED_NAME}:{site.port}",
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
    url = f"https://{SERVED_NAME}:{site.port}"
    assert described["resource"] == f"{url}/c/desk/mcp"
    assert described["authorization_servers"] == [url]
    challenge = site.call(None, "ping", "127.0.0.9", **lies).headers["www-authenticate"]
    assert f'resource_metadata="{url}{path}"' in challenge


def test_a_host_that_is_not_ours_is_refused(site: Site, upstream: Recorder) -> None:
    answer = site.call(site.bascule.token(), "tools/list", Host="evil.example")
    assert answer.body == b"" or answer.status in {404, 421}
    assert upstream.take() == []


def test_failures_are_counted_for_each_client_and_not_for_the_proxy(site: Site) -> None:
    statuses = [site.call("bad", "ping", "127.0.0.4").status for _ in range(11)]
    assert statuses == [401] * 9 + [429] * 2
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
    outside = subprocess.run(
        [*COMMAND, *site.bascule.options, "doctor", "--exposure", "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
    )
    wrong = [it for it in json.loads(outside.stdout)["checks"] if not it["ok"]]
    # The certificates of tests end tomorrow.
    assert [it["check"] for it in wrong] == ["certificate"]
    assert "ends in" in wrong[0]["found"]


@dataclass(frozen=True, slots=True)
class Door:
    """A proxy before a server that answers whatever comes."""

    port: int
    authority: Authority
    arrived: list[str]

    def ask(self, path: str, host: str = "") -> int:
        """Send a request as it is, and give the status of the answer."""
        with (
            socket.create_connection((PROXY, self.port), timeout=PATIENCE) as plain,
            self.authority.trust().wrap_socket(plain, server_hostname=SERVED_NAME) as it,
        ):
            name = host or f"{SERVED_NAME}:{self.port}"
            it.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            response = http.client.HTTPResponse(it)
            response.begin()
            return response.status


class Anything(http.server.BaseHTTPRequestHandler):
    """Answers every path, and remembers it."""

    arrived: list[str]

    def do_GET(self) -> None:
        self.arrived.append(f"{self.headers['Host'].partition(':')[0]} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module", params=FILES)
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    handler = type("Handler", (Anything,), {"arrived": []})
    server = http.server.ThreadingHTTPServer((PROXY, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (port,) = free_ports(1)
    authority = new_authority()
    folder = tmp_path_factory.mktemp("door")
    try:
        with proxy(request.param, folder, port, server.server_port, authority):
            yield Door(port, authority, handler.arrived)  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def test_what_clients_need_is_passed_on(door: Door) -> None:
    paths = [
        "/c/desk/mcp",
        "/oauth/token",
        "/login",
        "/login/setup/x",
        "/consent",
        "/approve",
        "/approve/0123",
        "/static/0/x.css",
        "/.well-known/oauth-protected-resource/c/desk/mcp",
        "/healthz",
        "/readyz",
    ]
    assert [door.ask(path) for path in paths] == [200] * len(paths)
    assert door.arrived == [f"{SERVED_NAME} {path}" for path in paths]
    door.arrived.clear()


INSIDE = ("/metrics", "/console", "/admin/", "/admin/api")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/anything",
        *(f"{before}{it}" for it in INSIDE for before in ("", "/", "/.", "/c/..")),
        "/c/%2e%2e/metrics",
        "/c/..%2fmetrics",
        "/c/.%2e/console",
        "/%6detrics",
        "/METRICS",
        "/static/../metrics",
    ],
)
def test_nothing_else_is_passed_on(door: Door, path: str) -> None:
    """Neither as it is, nor in a spelling that whoever is behind reads otherwise."""
    door.arrived.clear()
    door.ask(path)
    assert not any(spells_inside(it) for it in door.arrived)


def spells_inside(arrived: str) -> bool:
    """Tell whether what arrived leads anywhere but to what is served, read kindly."""
    path = posixpath.normpath(unquote(arrived.partition(" ")[2])).lower()
    return any(it.rstrip("/") in path for it in INSIDE)


def test_another_name_is_not_passed_on(door: Door) -> None:
    door.arrived.clear()
    door.ask("/c/desk/mcp", host="evil.example")
    assert door.arrived == []


def test_old_tls_is_refused(door: Door) -> None:
    context = door.authority.trust()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((PROXY, door.port), timeout=PATIENCE) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)version|alert"),
    ):
        context.wrap_socket(plain, server_hostname=SERVED_NAME)
