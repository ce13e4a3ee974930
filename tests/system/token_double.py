"""An authorization server that grants whatever it is asked, and keeps all that it hears.

A double, since no real one can be made to hear what must not reach it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "upstream-token"
"""What its access tokens begin with."""


@dataclass
class Granting:
    """One that runs."""

    url: str = ""
    heard: list[bytes] = field(default_factory=list)
    """Whole requests."""
    numbers: Iterator[int] = field(default_factory=count)

    def metadata(self) -> dict[str, Any]:
        """Give what it says of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "grant_types_supported": [
                "authorization_code",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ],
            "code_challenge_methods_supported": ["S256"],
        }

    def tokens(self) -> dict[str, Any]:
        """Give an answer that suits every grant."""
        return {
            "access_token": f"{TOKEN}-{next(self.numbers)}",
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "expires_in": 600,
            "refresh_token": "upstream-refresh",
        }

    def back(self, path: str) -> str:
        """Give where a browser that comes to `path` is sent with a code."""
        query = {name: value[0] for name, value in parse_qs(urlsplit(path).query).items()}
        code = {"code": "upstream-code", "state": query["state"]}
        return f"{query['redirect_uri']}?{urlencode(code)}"


@contextlib.contextmanager
def granting() -> Iterator[Granting]:
    """Run one on a free port, in a thread of its own."""
    made = Granting()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/authorize"):
                self.keep(b"")
                self.send_response(302)
                self.send_header("Location", made.back(self.path))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.keep(b"")
                self.answer(made.metadata())

        def do_POST(self) -> None:
            self.keep(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(made.tokens())

        def keep(self, body: bytes) -> None:
            made.heard.append(f"{self.requestline}\n{self.headers}\n".encode() + body)

        def answer(self, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()
