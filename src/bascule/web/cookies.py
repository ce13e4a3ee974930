"""Cookies: `__Host-` on https, plain names on http, which is loopback."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bascule.storage.browser_sessions import Audience
from bascule.web.site import Site, site_of

SESSION_NAMES: dict[Audience, str] = {
    "public": "bascule-session",
    "admin": "bascule-admin-session",
}
BROWSER = "bascule-browser"
"""Tells one browser from another before anybody is signed in; no secret of anybody."""


def cookie_name(plain: str, *, secure: bool) -> str:
    """Give the name under which a cookie is set.

    `__Host-` makes browsers refuse it from other hosts and without Secure (RFC 6265bis
    §4.1.3.2). On loopback http no prefix works.
    """
    return f"__Host-{plain}" if secure else plain


def cookie_value(header: str, name: str) -> str | None:
    """Give a cookie's value; None also when it stands twice.

    Two of one name mean that something else on this host has set one of them, and nothing
    tells which.
    """
    pairs = [part.strip().partition("=") for part in header.split(";")]
    values = [value for found, _, value in pairs if found == name]
    return values[0] if len(values) == 1 else None


def read_cookie(request: Request, plain: str) -> str | None:
    """Give the value of one of our cookies."""
    name = cookie_name(plain, secure=site_of(request).secure)
    return cookie_value(request.headers.get("cookie", ""), name)


def set_cookie(
    site: Site, response: Response, plain: str, value: str, *, seconds: int
) -> None:
    """Set a cookie that scripts cannot read; `seconds` 0 removes it.

    Public cookies come along when another site leads here (`Lax`), as OAuth clients do;
    those of administration do not.
    """
    same_site = "Strict" if plain == SESSION_NAMES["admin"] else "Lax"
    name = cookie_name(plain, secure=site.secure)
    parts = [f"{name}={value}", "Path=/", f"Max-Age={seconds}", "HttpOnly"]
    parts += [f"SameSite={same_site}", *(["Secure"] if site.secure else [])]
    response.headers.append("Set-Cookie", "; ".join(parts))
