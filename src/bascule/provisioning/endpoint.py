"""Endpoints that providers call: no browser, no cookie, nothing that may be kept."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bascule.audit.record import RecordTooLargeError
from bascule.audit.writer import LogUnavailableError
from bascule.errors import BasculeError
from bascule.identity.notice import InvalidNoticeError
from bascule.net.fetch import FetchError
from bascule.oauthclient.openid import NoSuchProviderError, ProviderUnavailableError
from bascule.provisioning.listener import Listener
from bascule.storage.store import StateUnavailableError
from bascule.web.source import peer_of

log = logging.getLogger("bascule")

MAX_BYTES = 64 << 10
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Answer = Callable[[Listener, Request, str], Awaitable[Response]]
Problem = Callable[[InvalidNoticeError], Response]


class UnusableRequestError(BasculeError):
    """It is not what the endpoint takes."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def endpoint(path: str, answer: Answer, listener: Listener, problem: Problem) -> Route:
    """Make a route below which each provider has an address of its own.

    `problem` answers a notice that is none; those of one source are counted.
    """

    async def answer_or_error(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            return await answer(listener, request, name)
        except InvalidNoticeError as exc:
            log.warning("a notice for `%s` is refused: %s", ascii(name), exc)
            if listener.records.failed("provider_notice", peer=peer_of(request)):
                return plain(429)
            return problem(exc)
        except NoSuchProviderError:
            return plain(404)
        except UnusableRequestError as exc:
            return plain(exc.status)
        except (
            ProviderUnavailableError,
            FetchError,
            StateUnavailableError,
            LogUnavailableError,
            RecordTooLargeError,
        ) as exc:
            log.error("a notice for `%s` cannot be taken: %s", ascii(name), exc)
            return plain(503)

    return Route(f"{path}/{{name}}", answer_or_error, methods=["POST"])


def plain(status: int) -> Response:
    """Make an answer without a body."""
    retry = {"Retry-After": "2"} if status in {429, 503} else {}
    return Response(status_code=status, headers={**NO_STORE, **retry})


def said(status: int, error: str, text: str, *, names: tuple[str, str]) -> Response:
    """Make the answer of an error; `names`: how its two members are called."""
    return JSONResponse(
        {names[0]: error, names[1]: text},
        status,
        headers={**NO_STORE, "Content-Language": "en"},
    )


async def body_of(request: Request, media_type: str) -> bytes:
    """Read a body. Raises `UnusableRequestError`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != media_type:
        raise UnusableRequestError(415, f"send it as {media_type}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise UnusableRequestError(413, "it is too large")
    return body
