"""The whole walk, by real software alone: a client of others, Chromium, a server of others.

The client is refused, finds the authorization server, sends its user to the browser; the
user signs in and consents; the client gets a token, lists, calls, and is refused the rest.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from bascule.app.demo import CONFIGURATION, TICKETS_PORT
from browser.chromium import barriers, visiting
from browser.conftest import site
from certificates import new_authority
from ports import free_ports
from system.mcp_server import running
from system.server import Installation
from system.visitor import PASSWORD, Visitor, path_of

CONFIG = """\
[server]
public_url = "http://localhost:{public}"
listen = "localhost:{public}"
admin_listen = "127.0.0.1:{admin}"

[connectors.hall]
mode = "observe"
url = "http://127.0.0.1:{upstream}/mcp"

[clients]
dynamic_registration = true

[roles.visitor]
members = ["user:alice"]
allow = ["hall/echo", "hall/counts"]

[agents]
default_ceiling = ["hall/echo"]
"""
CLIENT = "desk-app"
DONE = b"""<!doctype html><title>Done</title><link rel="icon" href="data:,">
<h1>Back in the app</h1>"""


@dataclass(slots=True)
class App:
    """A client that waits for its user."""

    port: int
    process: subprocess.Popen[str]

    def says(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture(scope="module")
def redirect_port() -> int:
    """Give the port of the client's callback; registered before the client runs."""
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def hall(
    tmp_path_factory: pytest.TempPathFactory, redirect_port: int
) -> Iterator[Installation]:
    public, admin = free_ports(2)
    made = Installation(tmp_path_factory.mktemp("hall"), public, admin)
    with running() as upstream:
        made.config.write_text(CONFIG.format(public=public, admin=admin, upstream=upstream))
        link = made.ask("user", "add", "alice")["setup_link"]
        callback = f"http://127.0.0.1:{redirect_port}/callback"
        made.ask("agent", "add", CLIENT, "--redirect-uri", callback)
        made.start()
        try:
            visitor = Visitor(made, host=f"localhost:{public}")
            assert visitor.post(path_of(link), {"password": PASSWORD}).status == 303
            yield made
        finally:
            made.kill()


@contextlib.contextmanager
def app(hall: Installation, port: int, *named: str) -> Iterator[App]:
    """Run the client until it waits for its user."""
    call = ["echo", {"text": "over the bridge"}]
    url = f"{site(hall)}/c/hall/mcp"
    with running_app(port, url, json.dumps(call), "forbidden", *named) as client:
        yield client


@contextlib.contextmanager
def running_app(port: int, url: str, *arguments: str) -> Iterator[App]:
    """Run the client on a connector."""
    script = Path(__file__).with_name("oauth_client.py")
    process = subprocess.Popen(
        [sys.executable, script, url, str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield App(port, process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser) as made:
        yield made


def sign_in(page: Page, name: str = "alice") -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_client_that_was_registered_gets_in(
    hall: Installation, page: Page, redirect_port: int
) -> None:
    with app(hall, redirect_port, CLIENT) as client:
        page.goto(client.says()["open"])
        sign_in(page)
        expect(page.get_by_role("heading")).to_contain_text("Let")
        expect(page.get_by_text(f"127.0.0.1:{redirect_port}")).to_be_visible()
        expect(page.get_by_text("Nobody can check")).to_be_visible()
        page.get_by_role("button", name="Let it in").click()
        expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
        found = client.says()
    assert found == {
        "tools": ["echo"],
        "said": "over the bridge",
        "refused": -32602,
        "scope": "mcp:hall",
        "refreshes": True,
    }
    rows = hall.wait_for_records("--agent", CLIENT, "--decision", "deny")
    refused = rows[-1]
    assert (refused["name"], refused["user"]) == ("forbidden", "user:alice")
    assert not refused["agent_verified"], "a redirect to loopback proves nothing"
    assert hall.ask("audit", "verify")["ok"]


def test_a_client_that_registers_itself_gets_in(hall: Installation, page: Page) -> None:
    (port,) = free_ports(1)
    with app(hall, port) as client:
        page.goto(client.says()["open"])
        sign_in(page)
        expect(page.get_by_text("Anybody can take any name")).to_be_visible()
        page.get_by_role("button", name="Let it in").click()
        expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
        assert client.says()["tools"] == ["echo"]


def test_a_client_is_told_of_a_refusal(
    hall: Installation, page: Page, redirect_port: int
) -> None:
    with app(hall, redirect_port, CLIENT) as client:
        page.goto(client.says()["open"])
        sign_in(page)
        page.get_by_role("button", name="Refuse").click()
        expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
        assert client.says() == {"error": "access_denied", "iss": site(hall)}


def test_whoever_is_signed_in_is_asked_at_once_and_each_time(
    hall: Installation, page: Page, redirect_port: int
) -> None:
    """Consent for a redirect that nobody can verify is never remembered."""
    page.goto(f"{site(hall)}/login")
    sign_in(page)
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    for _ in range(2):
        with app(hall, redirect_port, CLIENT) as client:
            page.goto(client.says()["open"])
            page.get_by_role("button", name="Let it in").click()
            expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
            assert client.says()["said"] == "over the bridge"


def test_the_walk_needs_no_scripts(
    hall: Installation, browser: Browser, redirect_port: int
) -> None:
    with (
        visiting(browser, java_script_enabled=False) as page,
        app(hall, redirect_port, CLIENT) as client,
    ):
        page.goto(client.says()["open"])
        sign_in(page)
        page.get_by_role("button", name="Let it in").click()
        expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
        assert client.says()["said"] == "over the bridge"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_consenting(
    hall: Installation, browser: Browser, redirect_port: int, scheme: str
) -> None:
    with (
        visiting(
            browser, color_scheme=scheme, viewport={"width": 320, "height": 800}
        ) as page,
        app(hall, redirect_port, CLIENT) as client,
    ):
        page.goto(client.says()["open"])
        sign_in(page)
        expect(page.get_by_role("button", name="Let it in")).to_be_visible()
        assert barriers(page) == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Let it in")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Refuse")).to_be_focused()


def test_a_decision_is_made_once(
    hall: Installation, page: Page, redirect_port: int
) -> None:
    with app(hall, redirect_port, CLIENT) as client:
        page.goto(client.says()["open"])
        sign_in(page)
        expect(page.get_by_role("button", name="Let it in")).to_be_visible()
        consent = page.url
        page.get_by_role("button", name="Let it in").click()
        expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
        page.goto(consent)
        expect(page.get_by_role("heading")).to_have_text("This was decided already")
        assert client.says()["said"] == "over the bridge"


def test_a_request_is_of_one_browser(
    hall: Installation, browser: Browser, page: Page, redirect_port: int
) -> None:
    """Somebody's consent page is nobody else's to answer."""
    with (
        app(hall, redirect_port, CLIENT) as client,
        visiting(browser) as other,
    ):
        page.goto(client.says()["open"])
        sign_in(page)
        expect(page.get_by_role("button", name="Let it in")).to_be_visible()
        other.goto(page.url)
        sign_in(other)
        expect(other.get_by_role("heading")).to_have_text("There is nothing to decide")


class Portal(http.server.BaseHTTPRequestHandler):
    """The site of a client that has a secret."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(DONE)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[str]:
    """Run a client's site with TLS; gives its redirect URI."""
    tls = new_authority().server(tmp_path, "portal.test")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://portal.test:{server.server_port}/callback"
        server.shutdown()
        thread.join()


def test_a_consent_that_is_remembered_leads_on_from_the_login(
    hall: Installation, browser: Browser, portal: str
) -> None:
    """Browsers hold redirects after a form to that form's policy, and the login's names
    nobody: what leads away must be no redirect there."""
    hall.ask("agent", "add", "portal", "--secret", "--redirect-uri", portal)
    query = {
        "response_type": "code",
        "client_id": "portal",
        "redirect_uri": portal,
        "resource": f"{site(hall)}/c/hall/mcp",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        "state": "s",
    }
    begin = f"{site(hall)}/oauth/authorize?{urlencode(query)}"
    came_back = re.compile(f"^{re.escape(portal)}[?]code=")
    with visiting(browser, ignore_https_errors=True) as page:
        page.goto(begin)
        sign_in(page)
        page.get_by_role("button", name="Let it in").click()
        expect(page).to_have_url(came_back)
        page.goto(begin)
        expect(page).to_have_url(came_back)
        page.context.clear_cookies()
        page.goto(begin)
        sign_in(page)
        expect(page).to_have_url(came_back)


# The demo


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[Installation]:
    """Serve what `up --demo` serves, on ports of its own."""
    public, admin, tickets = free_ports(3)
    made = Installation(folder, public, admin)
    made.config.write_text(
        CONFIGURATION.replace(str(TICKETS_PORT), str(tickets))
        + f'[server]\npublic_url = "http://localhost:{public}"\n'
        f'listen = "localhost:{public}"\nadmin_listen = "127.0.0.1:{admin}"\n'
    )
    desk = subprocess.Popen(
        [sys.executable, "-m", "bascule.demo.tickets", "--port", str(tickets)],
        stderr=subprocess.DEVNULL,
    )
    try:
        made.start()
        yield made
    finally:
        made.kill()
        desk.kill()
        desk.wait()


@pytest.mark.parametrize(
    ("connector", "call", "tools", "said", "refused"),
    [
        (
            "time",
            ["get_current_time", {"timezone": "UTC"}],
            ["get_current_time"],
            '"timezone": "UTC"',
            "convert_time",
        ),
        (
            "tickets",
            ["search", {"words": "printer"}],
            ["search", "get_ticket", "create_ticket"],
            "Printer is on fire",
            "delete_ticket",
        ),
    ],
)
def test_a_client_that_knows_nothing_gets_into_the_demo(
    tmp_path: Path,
    page: Page,
    connector: str,
    call: list[Any],
    tools: list[str],
    said: str,
    refused: str,
) -> None:
    """From the link of the demo's user to a call, one refusal, and a log that is whole."""
    (port,) = free_ports(1)
    with demo(tmp_path) as own:
        page.goto(own.ask("user", "add", "demo")["setup_link"])
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        page.get_by_role("button", name="Sign out").click()
        url = f"{site(own)}/c/{connector}/mcp"
        with running_app(port, url, json.dumps(call), refused) as client:
            page.goto(client.says()["open"])
            sign_in(page, "demo")
            page.get_by_role("button", name="Let it in").click()
            expect(page.get_by_role("heading", name="Back in the app")).to_be_visible()
            found = client.says()
        assert found["tools"] == tools
        assert said in found["said"]
        assert found["refused"] == -32602
        assert own.ask("audit", "verify")["ok"]
