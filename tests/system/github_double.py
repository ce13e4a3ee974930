"""A double of GitHub: its two OAuth endpoints and three of its API.

GitHub itself cannot be had in a test; this answers as its documentation says, errors with
status 200 included.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "secret of the OAuth app"


class GitHub(ThreadingHTTPServer):
    """The double; `user` is who sits at the browser."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Answering)
        self.user: dict[str, Any] = {"id": 583231, "login": "octocat", "name": None}
        self.orgs: list[dict[str, Any]] = [{"id": 9919, "login": "corp"}]
        self.teams: list[dict[str, Any]] = [
            {"id": 17, "slug": "support", "organization": {"id": 9919}}
        ]
        self.good = True
        """Whether its token still counts."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answering(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/login/oauth/authorize":
            query = parse_qs(path.query)
            (back,), (state,) = query["redirect_uri"], query["state"]
            self.send_response(302)
            self.send_header("Location", f"{back}?code=c-1&state={state}")
            self.end_headers()
            return
        good = self.server.good and self.headers["Authorization"] == "Bearer gho_token"
        pages = {
            "/user": self.server.user,
            "/user/orgs": self.server.orgs,
            "/user/teams": self.server.teams,
        }
        self._json(200 if good else 401, pages[path.path] if good else {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = parse_qs(body)
        assert self.headers["Accept"] == "application/json"
        good = form["client_secret"] == [SECRET] and form["code"] == ["c-1"]
        token = {"access_token": "gho_token", "token_type": "bearer", "scope": "read:org"}
        self._json(200, token if good else {"error": "bad_verification_code"})

    def _json(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def github(port: int) -> Iterator[GitHub]:
    """Run the double."""
    with GitHub(port) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
