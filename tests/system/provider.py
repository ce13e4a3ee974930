"""A real OpenID provider, which this project did not write, and logins at it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from conformance.rig import NODE, SCRIPTS
from foreign import Signer
from patience import PATIENCE

REDIRECT = "http://127.0.0.1/callback"
CLIENT, SECRET = "agent-7", "secret of agent-7, long enough for anybody"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that runs."""

    port: int
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def alone(self, resource: str, scope: str) -> str:
        """Get an access token that no user stands behind."""
        grant = "client_credentials"
        found = self._tokens(grant_type=grant, resource=resource, scope=scope)
        return str(found["access_token"])

    def login(self, user: str, resource: str, scope: str) -> tuple[str, str]:
        """Log a user in, as a browser would; gives access token and ID token."""
        verifier = "v" * 43
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "client_id": CLIENT,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": f"openid {scope}",
            "resource": resource,
            "login_hint": user,
            "nonce": "n-1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        code = self._follow(f"/auth?{urlencode(query)}")
        found = self._tokens(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT,
            code_verifier=verifier,
            resource=resource,
        )
        return found["access_token"], found["id_token"]

    def _follow(self, location: str) -> str:
        """Follow redirects with cookies until there is a code."""
        cookies: dict[str, str] = {}
        for _ in range(10):
            parts = urlsplit(location)
            if location.startswith(REDIRECT):
                (code,) = parse_qs(parts.query)["code"]
                return code
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
            response, _ = self._request("GET", path, {"Cookie": jar})
            for line in response.headers.get_all("Set-Cookie", []):
                cookies |= {name: it.value for name, it in SimpleCookie(line).items()}
            location = response.headers["Location"]
        raise AssertionError("the login led nowhere")

    def revoke(self, token: str) -> None:
        """Take an access token back."""
        status, body = self._post("/token/revocation", token=token)
        assert status == 200, body

    def end(self, token: str) -> None:
        """End an access token of any client, as who runs the provider does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{token}\n")
        self.process.stdin.flush()
        assert "ended\n" in iter(self.process.stdout.readline, "")

    def _tokens(self, **form: str) -> dict[str, Any]:
        status, body = self._post("/token", **form)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def _post(self, path: str, **form: str) -> tuple[int, bytes]:
        pair = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        response, body = self._request("POST", path, headers, urlencode(form))
        return response.status, body

    def _request(
        self, verb: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            return response, response.read()


@contextlib.contextmanager
def providing(
    folder: Path, port: int, *signers: Signer, tokens: str = "jwt"
) -> Iterator[Provider]:
    """Run a provider with these keys; the first one signs. `tokens`: `jwt` or `opaque`."""
    assert NODE.exists(), "the provider is missing: run `make node-packages`"
    keys = folder / "provider-keys.json"
    private = [
        {**it.key.as_dict(private=True), "kid": it.kid, "alg": it.algorithm, "use": "sig"}
        for it in signers
    ]
    keys.write_text(json.dumps({"keys": private}))
    process = subprocess.Popen(
        [NODE, SCRIPTS / "provider.mjs", str(port), str(keys), tokens],
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
        yield Provider(port, process)
    finally:
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()
