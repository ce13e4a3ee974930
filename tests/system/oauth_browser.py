"""A user's browser without a screen, and an OAuth client of others (Authlib) beside it."""

from __future__ import annotations

import contextlib
import html
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from bascule.clock import UnixTime, system_clock, system_entropy
from bascule.storage import browser_sessions
from bascule.storage.store import open_store
from bascule.web.cookies import SESSION_NAMES
from bascule.web.sessions import _digest
from patience import PATIENCE, until
from system.server import Installation

CALLBACK = "https://client.example/cb"
CLIENT = "app"


def sign_in(bascule: Installation, name: str) -> requests.Session:
    """Give a browser in which a user is signed in."""
    token = system_entropy(32).hex()
    now = system_clock()
    begin = partial(
        browser_sessions.begin,
        token_hash=_digest(token),
        replaces=b"",
        name=name,
        audience="public",
        method="password",
        source="127.0.0.1",
        now=now,
        expires_at=UnixTime(now + 3600),
    )
    with contextlib.closing(open_store(bascule.data / "state.db")) as store:
        assert store.run(begin)
    browser = requests.Session()
    browser.headers["Cookie"] = f"{SESSION_NAMES['public']}={token}"
    return browser


@dataclass
class Flow:
    """One authorization, from the client's side and from the user's."""

    bascule: Installation
    browser: requests.Session
    client_id: str = CLIENT
    redirect_uri: str = CALLBACK
    secret: str | None = None
    method: str = "none"
    verifier: str = field(default_factory=lambda: generate_token(48))

    @property
    def client(self) -> OAuth2Session:
        return OAuth2Session(
            self.client_id,
            self.secret,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method=self.method,
        )

    def link(self, **change: str | None) -> str:
        """Give the link that the client opens, correct but for `change`."""
        parameters: dict[str, str | None] = {
            "resource": f"{self.bascule.url}/c/desk/mcp",
            "code_verifier": self.verifier,
            "state": "state-1",
            **change,
        }
        kept = {name: value for name, value in parameters.items() if value is not None}
        address = f"{self.bascule.url}/oauth/authorize"
        with self.client as client:
            url, _ = client.create_authorization_url(address, **kept)
        return str(url)

    def open(self, link: str, **headers: str) -> requests.Response:
        """Open a link of this server in the browser, without following where it leads."""
        return self.browser.get(
            link, allow_redirects=False, timeout=PATIENCE, headers=headers
        )

    def page(self, **change: str | None) -> str:
        """Open the link and give the address of the consent page."""
        answer = self.open(self.link(**change))
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith("/consent?request=")
        return self.bascule.url + answer.headers["location"]

    def decide(self, page: str, decision: str, **headers: str) -> requests.Response:
        """Send the form of the consent page."""
        name = parse_qs(urlsplit(page).query)["request"][0]
        return self.browser.post(
            f"{self.bascule.url}/consent",
            {"request": name, "decision": decision},
            headers={"Origin": self.bascule.url, **headers},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def callback(self, **change: str | None) -> str:
        """Consent, and give the address that the browser is sent to."""
        answer = self.decide(self.page(**change), "allow")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def tokens(self, **change: str | None) -> dict[str, Any]:
        """Go all the way."""
        with self.client as client:
            found: dict[str, Any] = client.fetch_token(
                f"{self.bascule.url}/oauth/token",
                authorization_response=self.callback(**change),
                code_verifier=self.verifier,
                state=change.get("state", "state-1"),
            )
        return found


def refreshed(bascule: Installation, token: str, source: str) -> dict[str, Any]:
    """Refresh as the client `app` does, from an address of its own."""
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    before, bascule.source = bascule.source, source
    try:
        return bascule.send(urlencode(form).encode(), headers, path="/oauth/token").json
    finally:
        bascule.source = before


def survives_a_lost_answer(token: str, at: Installation, then: Installation) -> None:
    """Refresh at a server that dies with its answer, and go on at another, or the next.

    The client has two ways out, and each refreshes by itself. Somebody who shows the token
    of before, once it was gone on with, ends the family.
    """
    lost = refreshed(at, token, "127.0.0.2")["refresh_token"]
    at.kill()
    if then is at:
        then.start()
    for source in ("127.0.0.3", "127.0.0.2"):
        again = refreshed(then, token, source)
        assert again["refresh_token"] == lost
        assert then.call(again["access_token"], "tools/list").status == 200
    third = refreshed(then, lost, "127.0.0.3")
    assert then.call(third["access_token"], "tools/list").status == 200
    assert refreshed(then, token, "127.0.0.2")["error"] == "invalid_grant"
    until(lambda: then.call(third["access_token"], "tools/list").status == 401)
    last = refreshed(then, third["refresh_token"], "127.0.0.3")
    assert last["error"] == "invalid_grant"


def answer_of(location: str) -> dict[str, str]:
    """Read what a client is told by a redirect."""
    return {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}


def text_of(page: requests.Response) -> str:
    """Give what a person reads on a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())
