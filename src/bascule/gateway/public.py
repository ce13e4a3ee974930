"""The public listener: MCP paths take the data path, all others an ordinary application."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bascule.gateway import answers
from bascule.gateway.asgi import AsgiBridge
from bascule.gateway.call import handle_call
from bascule.gateway.exchange import Exchange
from bascule.gateway.gateway import Gateway, Work
from bascule.gateway.ingress import Allowed, BadHeadError, check_origin
from bascule.identity.authorization_details import TYPE
from bascule.identity.issuer_documents import ALGORITHMS
from bascule.identity.resource import resource_identifier

MAX_KNOWN_TARGETS = 1000
_ENDPOINT = re.compile(r"/c/([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)/mcp")


class PublicHandler:
    """Starts whatever answers a request of the public listener."""

    def __init__(self, gateway: Gateway, pages: PagesHandler) -> None:
        self._gateway = gateway
        self._pages = pages
        self._connectors: dict[bytes, str] = {}
        """Connector by request target, of the targets seen first."""

    def handle(self, exchange: Exchange) -> None:
        """Start answering."""
        connector = self._connectors.get(exchange.target) or self._connector(exchange)
        if connector is None:
            self._pages.handle(exchange)
            return
        work = Work(self._gateway, exchange)
        work.start(handle_call(self._gateway, work, connector))

    def _connector(self, exchange: Exchange) -> str | None:
        match = _ENDPOINT.fullmatch(exchange.path)
        if match is None:
            return None
        if len(self._connectors) < MAX_KNOWN_TARGETS:
            self._connectors[exchange.target] = match[1]
        return match[1]


class PagesHandler:
    """An ASGI application behind the Host and Origin lists."""

    def __init__(self, bridge: AsgiBridge, allowed: Allowed) -> None:
        self._bridge = bridge
        self._allowed = allowed

    def handle(self, exchange: Exchange) -> None:
        """Start answering."""
        try:
            check_origin(exchange, self._allowed)
        except BadHeadError as exc:
            answers.plain(exchange, exc.status, str(exc))
        else:
            self._bridge.handle(exchange)


def public_application(
    public_url: str,
    jwks: Callable[[], dict[str, object]],
    ready: Callable[[], list[str]],
    routes: Sequence[Route] = (),
) -> Starlette:
    """Make the application of the public listener.

    `ready` gives what is late, one sentence each; empty means ready. `routes` are those of
    other packages.
    """

    async def resource_metadata(request: Request) -> Response:
        """Describe a protected resource (RFC 9728); the same whether or not it exists."""
        name = request.path_params["connector"]
        if _ENDPOINT.fullmatch(f"/c/{name}/mcp") is None:
            return PlainTextResponse("not found\n", 404)
        return JSONResponse(
            {
                "resource": resource_identifier(public_url, name),
                "authorization_servers": [public_url],
                "scopes_supported": [f"mcp:{name}"],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": sorted(ALGORITHMS),
                "authorization_details_types_supported": [TYPE],
            }
        )

    async def keys(_: Request) -> Response:
        """Give the keys that access tokens are signed with (RFC 7517)."""
        return JSONResponse(jwks())

    async def healthz(_: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """Say whether calls are served."""
        late = ready()
        return PlainTextResponse("\n".join(late or ["ready"]) + "\n", 503 if late else 200)

    return Starlette(
        routes=[
            Route(
                "/.well-known/oauth-protected-resource/c/{connector}/mcp", resource_metadata
            ),
            Route("/oauth/jwks", keys),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            *routes,
        ]
    )
