"""An MCP server that the `mcp` SDK protects: tokens of an issuer, which it asks about each.

As a program: `protected_server.py ISSUER SEEN FD`. It writes the token that it saw last to
the file SEEN, for tests that end it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import requests
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from uvicorn import Config

from patience import PATIENCE
from system.mcp_server import READY, Announcing
from system.provider import CLIENT, SECRET

SCOPE = "desk.echo"


class Introspecting(TokenVerifier):
    """Asks the issuer (RFC 7662); the SDK then looks at scope, end and resource."""

    def __init__(self, issuer: str, seen: Path) -> None:
        self._issuer = issuer
        self._seen = seen

    async def verify_token(self, token: str) -> AccessToken | None:
        self._seen.write_text(token)
        found = await anyio.to_thread.run_sync(partial(self._ask, token))
        if not found["active"]:
            return None
        return AccessToken(
            token=token,
            client_id=found["client_id"],
            scopes=found["scope"].split(),
            expires_at=found["exp"],
            resource=found["aud"],
            subject=found["sub"],
        )

    def _ask(self, token: str) -> dict[str, Any]:
        answer = requests.post(
            f"{self._issuer}/token/introspection",
            {"token": token},
            auth=(CLIENT, SECRET.replace(" ", "+")),
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return dict(answer.json())


def make_server(issuer: str, url: str, seen: Path) -> MCPServer:
    """Make a server that says who calls."""
    server = MCPServer(
        "vault",
        version="1.0",
        token_verifier=Introspecting(issuer, seen),
        auth=AuthSettings.model_validate(
            {
                "issuer_url": issuer,
                "resource_server_url": url,
                "required_scopes": [SCOPE],
                "validate_token_resource": True,
            }
        ),
    )

    @server.tool()
    def echo(text: str) -> str:
        """Say it back, with whose token it was said."""
        token = get_access_token()
        assert token is not None
        return f"{token.subject} says {text}"

    return server


@contextlib.contextmanager
def protected(issuer: str, seen: Path) -> Iterator[str]:
    """Run one in a process of its own; give its address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, issuer, str(seen), str(sock.fileno())],
            cwd=Path(__file__).parent.parent,
            pass_fds=[sock.fileno()],
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == READY
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)


def main(issuer: str, seen: str, fd: str) -> None:
    """Serve on an inherited socket until killed."""
    sock = socket.socket(fileno=int(fd))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
    app = make_server(issuer, url, Path(seen)).streamable_http_app()
    Announcing(Config(app, log_level="error")).run([sock])


if __name__ == "__main__":
    main(*sys.argv[1:])
