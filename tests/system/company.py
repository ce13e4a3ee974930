"""A company's identity provider, and people who sign in by it: see `company.mjs`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from conformance.rig import NODE, SCRIPTS
from foreign import Signer
from patience import PATIENCE
from system.visitor import Page, Visitor

SECRET = "the secret of the gateway there, long enough"


@dataclass(slots=True)
class Company:
    """A provider that runs, seen by one browser."""

    port: int
    path: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return self.origin + self.path

    def knows(self, account: str, **claims: Any) -> None:
        """Set what is said of somebody."""
        self._control(account=account, claims=claims)

    def forgets(self, account: str) -> None:
        """Delete an account."""
        self._control(account=account, claims=None)

    def signs_in(self, account: str | None) -> None:
        """Set who sits at the browser; None refuses."""
        self.cookies.clear()
        self._control(signsIn=account)

    def is_down(self, down: bool) -> None:
        """Set whether it answers anything but errors."""
        self._control(isDown=down)

    def vouches(self, willing: bool) -> None:
        """Set whether its policy lets it vouch for anybody elsewhere."""
        self._control(refusing=not willing)

    def gives_id_tokens_for(self, seconds: int) -> None:
        """Set how long ID tokens last from now on."""
        self._control(idTokenSeconds=seconds)

    def forgets_clients(self) -> None:
        """Forget all that have registered themselves."""
        self._control(forgetsClients=True)

    def kills(self, pid: int) -> None:
        """Kill (SIGKILL) a process that asks for tokens, between deed and answer."""
        self._control(kill=pid)

    def asked(self) -> list[dict[str, Any]]:
        """Give what it was asked since the last time."""
        found: list[dict[str, Any]] = json.loads(self._request("GET", "/control")[1])
        return found

    def busy(self) -> float:
        """Give for how many seconds it has worked on requests since its start."""
        return float(self._control()["busy"]) / 1000

    def visit(self, location: str) -> str:
        """Follow its redirects until one leads elsewhere."""
        for _ in range(10):
            if not location.startswith((self.origin, "/")):
                return location
            target = urlsplit(location)
            query = f"?{target.query}" if target.query else ""
            answer, body = self._browse("GET", target.path + query)
            assert answer.headers["Location"] is not None, (answer.status, body[:500])
            location = answer.headers["Location"]
        raise AssertionError("the login led nowhere")

    def sign_out(self) -> None:
        """Sign out who is signed in at the browser; clients are told before it returns."""
        _, page = self._browse("GET", f"{self.path}/session/end")
        [xsrf] = re.findall(rb'name="xsrf" value="([^"]+)"', page)
        form = urlencode({"xsrf": xsrf, "logout": "yes"})
        answer, _ = self._browse("POST", f"{self.path}/session/end/confirm", form)
        assert answer.status == 303

    def login(self, visitor: Visitor, name: str = "corp", next: str = "") -> Page:
        """Sign a visitor in; gives the answer to the provider's answer."""
        return visitor.get(self.way_back(visitor, name, next))

    def way_back(self, visitor: Visitor, name: str = "corp", next: str = "") -> str:
        """Sign in at the provider; gives the path that it sends the browser back to."""
        query = f"?next={next}" if next else ""
        begun = visitor.get(f"/login/with/{name}{query}")
        assert begun.location is not None, begun.text
        back = urlsplit(self.visit(begun.location))
        return f"{back.path}?{back.query}"

    def _browse(
        self, verb: str, path: str, form: str | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask as the browser does, with its cookies."""
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer, body = self._request(verb, path, headers, form)
        for line in answer.headers.get_all("Set-Cookie", []):
            self.cookies |= {it.key: it.value for it in SimpleCookie(line).values()}
        return answer, body

    def _control(self, **order: Any) -> dict[str, Any]:
        answer, body = self._request("PUT", "/control", body=json.dumps(order))
        assert answer.status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def _request(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(verb, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response, response.read()


@contextlib.contextmanager
def company(
    folder: Path, port: int, redirect_uri: str, by: Signer, **profile: Any
) -> Iterator[Company]:
    """Run a provider of a kind, where Bascule is a client."""
    assert NODE.exists(), "the provider is missing: run `make node-packages`"
    keys = folder / f"company-{port}.json"
    key = {**by.key.as_dict(private=True), "kid": by.kid, "alg": by.algorithm, "use": "sig"}
    keys.write_text(json.dumps({"keys": [key]}))
    client = {
        "client_id": "bascule",
        "client_secret": SECRET,
        "redirect_uris": [redirect_uri],
        "post_logout_redirect_uris": [f"http://{urlsplit(redirect_uri).netloc}/login"],
        **profile.pop("client", {}),
    }
    process = subprocess.Popen(
        [
            NODE,
            SCRIPTS / "company.mjs",
            str(port),
            str(keys),
            json.dumps({**profile, "client": client}),
        ],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Company(port, profile.get("path", ""))
    finally:
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()
