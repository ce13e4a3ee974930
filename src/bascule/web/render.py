"""Pages from templates.

A template reads one frozen dataclass, `page`, and nothing else. Everything is escaped; a
name that does not exist is an error, not an empty text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response

from bascule.web.headers import content_security_policy
from bascule.web.problem import PageError
from bascule.web.static import static_url

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Give the templates' environment; Jinja is imported with the first page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("bascule.web"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = static_url
    return made


def render(
    template: str, page: object, *, status: int = 200, form_targets: Iterable[str] = ()
) -> Response:
    """Make a page of a template below `templates/`.

    `form_targets` are origins from `form_target` that a form of the page may lead to by
    redirects, beside this site.
    """
    html = environment().get_template(template).render(page=page)
    headers = {
        "Content-Security-Policy": content_security_policy(form_targets),
        # With `no-referrer` browsers send `Origin: null` with our own forms (Fetch,
        # "append a request Origin header").
        "Referrer-Policy": "same-origin",
    }
    return HTMLResponse(html, status, headers)


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """`error.html`."""

    title: str
    advice: str


def render_error(problem: PageError) -> Response:
    """Make the page of an error."""
    response = render(
        "error.html", ErrorPage(problem.title, problem.advice), status=problem.status
    )
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def redirect(path: str) -> Response:
    """Send a browser on by GET (RFC 9110 §15.4.4)."""
    return RedirectResponse(path, 303)


@dataclass(frozen=True, slots=True)
class LeavePage:
    """`leave.html`."""

    url: str
    host: str


def leave(url: str, *, host: str) -> Response:
    """Send a browser to another site from a page that a form may have led to.

    Browsers hold redirects after a form to that form's `form-action`, and the form of the
    login page cannot know where a client's consent leads. So this is a page that moves on
    by itself, with a link. `url` was validated and has no spaces or controls.
    """
    response = render("leave.html", LeavePage(url, host))
    response.headers["Refresh"] = f"0; url={url}"
    return response
