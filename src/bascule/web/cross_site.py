"""Requests that another site made a browser send are refused.

By `Sec-Fetch-Site`, which browsers write and pages cannot, and by `Origin`; no tokens in
forms. A client that sends neither is no browser, and nobody can make it send a cookie.
"""

from __future__ import annotations

from starlette.requests import Request

from bascule.web.site import site_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing here (RFC 9110 §9.2.1)."""


def cross_site_problem(
    method: str,
    *,
    fetch_site: str | None,
    origin: str | None,
    own_origins: frozenset[str],
) -> str | None:
    """Say why a request is refused; None when it is not.

    `own_origins` are the ones that this very server has: of two ports of one host neither
    may speak for the other, though cookies do not tell them apart.
    """
    if method in SAFE_METHODS:
        return None
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return "another site sent this form"
    if origin is not None and origin not in own_origins:
        return "another origin sent this form"
    return None


def cross_site(request: Request) -> str | None:
    """Say why a request is refused as another site's; None when it is not.

    Ours is the site's address, and the `Host` that was asked, which is one of ours:
    loopback has several names, and a proxy may write another one than people use.
    """
    site = site_of(request)
    scheme = "https" if site.secure else "http"
    host = request.headers.get("host", "").lower()
    return cross_site_problem(
        request.method,
        fetch_site=request.headers.get("sec-fetch-site"),
        origin=request.headers.get("origin"),
        own_origins=frozenset({site.url, f"{scheme}://{host}"}),
    )
