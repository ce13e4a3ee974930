"""A site on https, as a team has it: cookies of the host alone, passkeys by name."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, expect

from browser.chromium import Authenticator, chromium, visiting
from certificates import new_authority
from system.recorder import recording
from system.server import Installation, install
from system.visitor import PASSWORD

NAME = "gate.test"


@dataclass(frozen=True, slots=True)
class Team:
    """A server on https, and a browser that trusts its certificate."""

    bascule: Installation
    browser: Browser

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.bascule.public}"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    certificate, key = new_authority().write(folder, NAME)
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    with recording() as upstream:
        made = install(folder / "bascule", upstream)
        text = made.config.read_text()
        made.config.write_text(
            text.replace(
                f'public_url = "http://127.0.0.1:{made.public}"',
                f'public_url = "https://{NAME}:{made.public}"\n'
                f'tls = {{ cert = "file:{certificate}", key = "file:{key}" }}',
            )
        )
        made.start()
        try:
            with chromium(f"--ignore-certificate-errors-spki-list={pin}") as browser:
                yield Team(made, browser)
        finally:
            made.kill()


def test_cookies_are_of_the_host_alone_and_no_script_reads_them(team: Team) -> None:
    with visiting(team.browser) as page:
        page.goto(team.bascule.ask("user", "add", "carol")["setup_link"])
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        expect(page.get_by_text("signed in as carol")).to_be_visible()
        assert page.evaluate("() => document.cookie") == ""
        cookies = {it["name"]: it for it in page.context.cookies()}
        assert set(cookies) == {"__Host-bascule-session", "__Host-bascule-browser"}
        assert all(it["secure"] and it["httpOnly"] for it in cookies.values())
        assert {it["sameSite"] for it in cookies.values()} == {"Lax"}
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        names = {it["name"] for it in page.context.cookies()}
        assert names == {"__Host-bascule-browser"}


def test_a_passkey_belongs_to_the_name_of_the_site(team: Team) -> None:
    with visiting(team.browser) as page:
        authenticator = Authenticator(page)
        page.goto(team.bascule.ask("user", "add", "dave")["setup_link"])
        page.get_by_role("button", name="Create a passkey").click()
        expect(page.get_by_text("signed in as dave")).to_be_visible()
        (credential,) = authenticator.credentials
        assert credential["rpId"] == NAME
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_text("signed in as dave")).to_be_visible()
