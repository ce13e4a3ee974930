"""Routes of pages: each request is checked, each expected error becomes a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bascule.audit.writer import LogUnavailableError
from bascule.storage.store import StateUnavailableError
from bascule.web.cross_site import cross_site
from bascule.web.problem import PageError
from bascule.web.render import render_error

Endpoint = Callable[[Request], Awaitable[Response]]


def page(path: str, endpoint: Endpoint, *, methods: tuple[str, ...] = ("GET",)) -> Route:
    """Make a page's route; what another site sent is refused before `endpoint` runs."""

    async def answer(request: Request) -> Response:
        try:
            _refuse_cross_site(request)
            return await endpoint(request)
        except PageError as exc:
            return render_error(exc)
        except (StateUnavailableError, LogUnavailableError):
            return render_error(
                PageError(
                    503,
                    "Not available at the moment",
                    "Try again in a few seconds.",
                    retry_after=2,
                )
            )

    return Route(path, answer, methods=list(methods))


async def no_such_page(request: Request, exc: Exception) -> Response:
    """Answer what nobody serves: people get a page, programs a sentence."""
    assert isinstance(exc, HTTPException)  # noqa: S101 - what it is registered for
    if "text/html" in request.headers.get("accept", ""):
        response = render_error(
            PageError(
                exc.status_code,
                "There is no such page",
                "Look at the address again, or begin at this site's first page.",
            )
        )
    else:
        response = PlainTextResponse(f"{exc.detail.lower()}\n", exc.status_code)
    response.headers.update(exc.headers or {})
    return response


def _refuse_cross_site(request: Request) -> None:
    problem = cross_site(request)
    if problem is not None:
        raise PageError(
            403,
            "Refused",
            f"For your safety nothing was done: {problem}. Open this site's own page, and "
            "try it from there.",
        )
