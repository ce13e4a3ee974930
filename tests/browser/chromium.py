"""A real Chromium, and what it must never say of our pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    expect,
    sync_playwright,
)

from patience import PATIENCE

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, "
    "EXCLUDE 127.0.0.1",
]
"""Nothing goes beyond loopback; names below `test` (RFC 6761 §6.2) are there too."""

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`);
});
"""
PATIENCE_MS = PATIENCE * 1000
"""After which a test gives up; nothing here takes as long."""
STATUS = "Failed to load resource: the server responded with a status of "
"""Said of pages with an error status, which are meant."""


@contextlib.contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """Run the system's Chromium, with arguments of a test's own if it has some."""
    found = shutil.which("chromium")
    assert found is not None, "Chromium is missing: `make system-packages` installs it"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*ARGUMENTS, *more]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a page in a browser without cookies; at its end it has complained of nothing."""
    complaints: list[str] = []
    context = browser.new_context(**options)
    try:
        yield watched(context, complaints)
        assert complaints == [], complaints
    finally:
        context.close()


def watched(context: BrowserContext, complaints: list[str]) -> Page:
    """Open a page whose errors are noted."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(TELL_VIOLATIONS)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def note(message: Any) -> None:
        of_page = "/static/" not in message.location.get("url", "")
        if message.type in {"error", "warning"} and not (
            of_page and message.text.startswith(STATUS)
        ):
            complaints.append(message.text)

    page.on("console", note)
    return page


def barriers(page: Page) -> list[str]:
    """Give what keeps people from using a page (axe), one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{it['id']}: {[node['html'] for node in it['nodes']]}" for it in found]


class Authenticator:
    """A virtual authenticator with a user that can be verified (WebAuthn §11)."""

    def __init__(self, page: Page, *, verifies: bool = True) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        made = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = made["authenticatorId"]

    @property
    def credentials(self) -> list[dict[str, Any]]:
        """Give what it holds."""
        which = {"authenticatorId": self._id}
        found: list[dict[str, Any]] = self._session.send("WebAuthn.getCredentials", which)[
            "credentials"
        ]
        return found

    def verify_user(self, verifies: bool) -> None:
        """Let its user be there, or not."""
        which = {"authenticatorId": self._id, "isUserVerified": verifies}
        self._session.send("WebAuthn.setUserVerified", which)

    def put_back(self, credential: dict[str, Any]) -> None:
        """Replace a credential by an earlier copy of it."""
        which = {"authenticatorId": self._id}
        gone = {**which, "credentialId": credential["credentialId"]}
        self._session.send("WebAuthn.removeCredential", gone)
        self._session.send("WebAuthn.addCredential", {**which, "credential": credential})
