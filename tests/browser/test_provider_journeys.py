"""By a company's provider into one Bascule, and from there into another, by keyboard alone.

The provider is a real one (oidc-provider); the second Bascule is an upstream where each
user has an account of their own, and its authorization server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.chromium import barriers, visiting
from browser.conftest import site
from browser.keyboard import fill, press
from foreign import signer
from patience import until
from ports import free_ports
from system.company import SECRET, Company, company
from system.linking import call, link_of
from system.recorder import Recorder, recording
from system.server import Installation, install
from system.visitor import PASSWORD, Visitor, path_of

CONFIG = """\
[server]
public_url = "http://localhost:{public}"
listen = "localhost:{public}"
admin_listen = "localhost:{admin}"

[boundary]
every_minutes = 0

[providers.corp]
issuer = "{issuer}"
client_id = "bascule"
client_secret = "file:{secret}"
label = "the company"
admit.groups = ["staff"]

[connectors.desk]
mode = "observe"
url = "{behind}/c/desk/mcp"
credential = {{ kind = "per_user", issuer = "{behind}", client_id = "front", \
client_secret = "file:{behind_secret}" }}

[roles.clerk]
members = ["group:{issuer}|staff"]
allow = ["desk/*"]

[agents]
default_ceiling = ["desk/*"]
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """All parties; the front is called `localhost`, the others by their address."""

    front: Installation
    behind: Installation
    corp: Company
    recorder: Recorder

    def user(self, name: str) -> str:
        """Give the name of a user of the company."""
        return f"{self.corp.issuer}|{name}"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("journeys")
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(recording())
        behind = install(folder / "behind", recorder)
        public, admin, port = free_ports(3)
        front = Installation(folder, public, admin)
        corp = stack.enter_context(_company(folder, port, front))
        _configure(front, behind, corp)
        for it in (behind, front):
            it.start()
            stack.callback(it.kill)
        link = behind.ask("user", "reset", "alice")["setup_link"]
        assert Visitor(behind).post(path_of(link), {"password": PASSWORD}).status == 303
        yield Scene(front, behind, corp, recorder)


def _company(
    folder: Path, port: int, front: Installation
) -> contextlib.AbstractContextManager[Company]:
    key = signer("key-1", "RS256")
    return company(
        folder,
        port,
        f"{site(front)}/login/callback/corp",
        key,
        client={"post_logout_redirect_uris": [f"{site(front)}/login"]},
    )


def _configure(front: Installation, behind: Installation, corp: Company) -> None:
    back = f"{site(front)}/link/callback"
    added = behind.ask("agent", "add", "front", "--secret", "--redirect-uri", back)
    secrets = {"secret": SECRET, "behind_secret": added["client_secret"]}
    for name, text in secrets.items():
        (front.folder / name).touch(0o600)
        (front.folder / name).write_text(text)
    front.config.write_text(
        CONFIG.format(
            public=front.public,
            admin=front.admin,
            issuer=corp.issuer,
            behind=behind.url,
            **{name: front.folder / name for name in secrets},
        )
    )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser) as made:
        yield made


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def sign_in(scene: Scene, page: Page, name: str) -> None:
    """Sign in from the login page, by the company."""
    scene.corp.signs_in(name)
    press(page, "Sign in with the company", role="link")


def test_somebody_of_the_company_signs_in_and_is_signed_out_there_too(
    scene: Scene, page: Page
) -> None:
    for name in ("alice", "bob"):
        scene.corp.knows(name, groups=["staff"])
    page.goto(f"{site(scene.front)}/login")
    assert barriers(page) == []
    sign_in(scene, page, "alice")
    heading(page, "Your account")
    expect(page.get_by_text(scene.user("alice"))).to_be_visible()

    press(page, "Sign out")
    press(page, "Yes, sign me out")
    heading(page, "Sign in")
    page.goto(f"{site(scene.front)}/account")
    heading(page, "Sign in")

    # The provider asks anew, so that another user can come.
    sign_in(scene, page, "bob")
    expect(page.get_by_text(scene.user("bob"))).to_be_visible()
    scene.front.wait_for_records("--type", "login", "--user", f"user:{scene.user('bob')}")


def test_who_is_not_let_in_reads_why(scene: Scene, page: Page) -> None:
    scene.corp.knows("guest", groups=["guests"])
    page.goto(f"{site(scene.front)}/login")
    sign_in(scene, page, "guest")
    expect(page.get_by_text("in none of the groups")).to_be_visible()
    assert barriers(page) == []
    page.goto(f"{site(scene.front)}/account")
    heading(page, "Sign in")


def test_a_user_connects_their_own_account_elsewhere_and_ends_it(
    scene: Scene, browser: Browser
) -> None:
    front, behind = scene.front, scene.behind
    _come_in(scene, "alice", "bob")
    token = front.token(f"user:{scene.user('alice')}")
    until(lambda: call(front, token).status != 401)  # the worker knows the user by now
    link = link_of(call(front, token))

    with visiting(browser) as page:  # somebody else was sent the link
        page.goto(link)
        sign_in(scene, page, "bob")
        heading(page, "This link is not for you")
        assert barriers(page) == []
    refused = front.wait_for_records("--type", "link.refuse")
    assert refused[0]["user"] == f"user:{scene.user('bob')}"

    with visiting(browser) as page:
        page.goto(link)
        sign_in(scene, page, "alice")
        heading(page, "Connect desk as yourself?")
        assert barriers(page) == []
        press(page, f"Go on to {urlsplit(behind.url).netloc}")
        fill(page, "Name", "alice")
        fill(page, "Password", PASSWORD)
        page.keyboard.press("Enter")
        heading(page, "Let front use desk?")
        press(page, "Let it in")
        heading(page, "desk is connected")
        assert barriers(page) == []
        scene.recorder.take()
        answer = call(front, token)
        assert answer.json["result"]["content"], answer.json
        arrived = scene.recorder.take()
        assert arrived
        assert not any(token.encode() in it.raw for it in arrived)
        assert behind.wait_for_records("--user", "user:alice", "--agent", "front")

        press(page, "Your connections", role="link")
        press(page, "Disconnect desk")
        expect(page.get_by_text("None. A server that wants you")).to_be_visible()
    until(lambda: "inputRequests" in call(front, token).json["result"])
    until(lambda: bool(behind.records("--type", "revoke")))


def _come_in(scene: Scene, *names: str) -> None:
    """Let people be known: who never came in has no token."""
    for name in names:
        scene.corp.knows(name, groups=["staff"])
        scene.corp.signs_in(name)
        visitor = Visitor(scene.front, host=f"localhost:{scene.front.public}")
        assert scene.corp.login(visitor).location == "/account"
