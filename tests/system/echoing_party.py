"""A server that tells whatever it is told back, in its errors: the worst case of a peer.

Identity provider, authorization server, introspection endpoint and MCP server in one. No
real server that could be had repeats secrets in what it answers.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote_plus

from bascule.clock import system_clock
from foreign import Signer, signer

RESOURCES = "/.well-known/oauth-protected-resource"
Mood = Literal["good", "refuses", "breaks"]


@dataclass
class Party:
    """What it says, and what it has heard."""

    tokens: dict[str, dict[str, str]]
    """What it issues: client → members of an answer."""
    url: str = ""
    mood: Mood = "good"
    nonce: str = ""
    """Of the login under way."""
    heard: list[bytes] = field(default_factory=list)
    """Whole requests."""
    key: Signer = field(default_factory=lambda: signer("k", "ES256"))

    def metadata(self) -> dict[str, Any]:
        ends = ("authorization", "token", "revocation", "introspection")
        return {
            "issuer": self.url,
            **{f"{it}_endpoint": f"{self.url}/{it}" for it in ends},
            "jwks_uri": f"{self.url}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "dpop_signing_alg_values_supported": ["ES256"],
        }

    @staticmethod
    def _of_header(authorization: str) -> str:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        return unquote_plus(pair.partition(":")[0])

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """Give what the token endpoint answers with."""
        said: dict[str, Any] = {"token_type": "Bearer", "expires_in": 3600}
        client = form.get("client_id") or self._of_header(authorization)
        said |= self.tokens[client]
        if client == "linker":
            said["token_type"] = "DPoP"
        if client == "login":
            claims = {
                "iss": self.url,
                "aud": client,
                "sub": "1",
                "iat": system_clock(),
                "exp": system_clock() + 300,
                "nonce": self.nonce,
            }
            said["id_token"] = self.key.sign(claims, typ="JWT").decode()
        return said


class _Handler(BaseHTTPRequestHandler):
    party: Party
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/jwks":
            self._answer(200, {"keys": [self.party.key.jwk()]})
        elif self.path.startswith(RESOURCES):
            resource = self.party.url + self.path.removeprefix(RESOURCES)
            servers = [self.party.url]
            self._answer(200, {"resource": resource, "authorization_servers": servers})
        elif "/.well-known/" in self.path:
            self._answer(200, self.party.metadata())
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard = f"{self.path}\n{self.headers}".encode() + body
        self.party.heard.append(heard)
        if self.path.startswith("/mcp"):
            self._mcp(json.loads(body), heard.decode())
        elif self.party.mood != "good":
            self._echo(400 if self.party.mood == "refuses" else 500, heard.decode())
        elif self.path == "/token":
            form = {name: value[0] for name, value in parse_qs(body.decode()).items()}
            self._answer(200, self.party.token(form, self.headers["Authorization"] or ""))
        elif self.path == "/introspection":
            self._answer(200, {"active": False})
        else:
            self._answer(200, {})

    def _mcp(self, message: dict[str, Any], heard: str) -> None:
        """Serve the tools `good`, `unauthorized` and `breaks`."""
        name = message.get("params", {}).get("name")
        if name in {"unauthorized", "breaks"}:
            self._echo(401 if name == "unauthorized" else 500, heard)
            return
        result: dict[str, Any] = {"resultType": "complete"}
        if message["method"] == "tools/list":
            names = ("good", "unauthorized", "breaks")
            result["tools"] = [{"name": it, "inputSchema": {}} for it in names]
        elif message["method"] == "tools/call":
            result["content"] = [{"type": "text", "text": "well"}]
        self._answer(200, {"jsonrpc": "2.0", "id": message.get("id"), "result": result})

    def _echo(self, status: int, heard: str) -> None:
        """Tell all back, in each place where an error can say something."""
        line = " ".join(heard.split())
        said = {"error": "invalid_request", "error_description": line, "error_uri": line}
        quoted = line.replace("\\", "").replace('"', "'")
        challenge = f'Bearer error="invalid_token", error_description="{quoted}"'
        self._answer(status, {**said, "message": line}, challenge)

    def _answer(self, status: int, said: dict[str, Any], challenge: str = "") -> None:
        body = json.dumps(said).encode()
        self.send_response(status, challenge[:200] if status == 500 else None)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def echoing(tokens: dict[str, dict[str, str]]) -> Iterator[Party]:
    """Run one."""
    party = Party(tokens)
    handler = type("Handler", (_Handler,), {"party": party})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        party.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield party
        finally:
            server.shutdown()
            thread.join()
