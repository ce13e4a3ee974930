"""Endpoints that clients call: a form in, JSON out, errors as OAuth has them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bascule.audit.record import RecordTooLargeError
from bascule.audit.writer import LogUnavailableError
from bascule.authserver.errors import (
    InvalidClientError,
    InvalidGrantError,
    OAuthError,
    TooManyRequestsError,
    UnavailableError,
    UseDpopNonceError,
)
from bascule.authserver.server import AuthorizationServer
from bascule.identity.keys import BadKeyError
from bascule.storage.store import StateUnavailableError
from bascule.web.source import peer_of

log = logging.getLogger("bascule")

Answer = Callable[[AuthorizationServer, Request], Awaitable[Response]]
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
BASIC = {"WWW-Authenticate": 'Basic realm="bascule", charset="UTF-8"'}
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Accept",
    "DPoP",
    "MCP-Protocol-Version",
)


def endpoint(
    path: str, answer: Answer, server: AuthorizationServer, *, method: str = "POST"
) -> Route:
    """Make the route of an endpoint. Scripts of the origins that are listed may use it."""

    async def answer_or_error(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": f"{method}, OPTIONS"})
        try:
            return await answer(server, request)
        except OAuthError as exc:
            return _error(server, request, exc)
        except (StateUnavailableError, LogUnavailableError, RecordTooLargeError) as exc:
            log.error("authorization server: %s", exc)
            return error_response(UnavailableError("try again in a few seconds"))
        except BadKeyError as exc:
            log.error("authorization server: %s", exc)
            return error_response(UnavailableError("tokens cannot be signed"))

    scripts = Middleware(
        CORSMiddleware,
        allow_origins=sorted(server.origins),
        allow_methods=[method],
        allow_headers=REQUEST_HEADERS,
        expose_headers=["DPoP-Nonce"],
    )
    return Route(path, answer_or_error, methods=[method, "OPTIONS"], middleware=[scripts])


def _error(server: AuthorizationServer, request: Request, problem: OAuthError) -> Response:
    """Answer an error; failed attempts to be somebody are counted and recorded."""
    if isinstance(problem, InvalidClientError):
        reason = problem.reason
    elif isinstance(problem, InvalidGrantError):
        reason = problem.description
    elif isinstance(problem, UseDpopNonceError):
        return error_response(problem, {"DPoP-Nonce": problem.nonce})
    else:
        return error_response(problem)
    if server.records.failed(reason, peer=peer_of(request)):
        return error_response(TooManyRequestsError("too many failed authentications"))
    by_header = problem.status == 401 and "authorization" in request.headers
    return error_response(problem, BASIC if by_header else {})


def error_response(
    problem: OAuthError, headers: Mapping[str, str] | None = None
) -> Response:
    """Make the answer of an error (RFC 6749 §5.2)."""
    retry = {"Retry-After": "2"} if problem.status in {429, 503} else {}
    return JSONResponse(
        {"error": problem.error, "error_description": problem.description},
        problem.status,
        headers={**NO_STORE, **retry, **(headers or {})},
    )


def json_response(document: Mapping[str, object], status: int = 200) -> Response:
    """Make an answer that nobody may keep (RFC 6749 §5.1)."""
    return JSONResponse(dict(document), status, headers=NO_STORE)
