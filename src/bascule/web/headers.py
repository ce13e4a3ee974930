"""Headers of every answer that a browser may show.

A page loads only what this server serves, runs no inline script or style, hands no string
to the parser (Trusted Types), stands in no frame and sends its forms here. CSP Level 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST_SOURCE = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?")
_SCHEME_SOURCE = re.compile(r"[a-z][a-z0-9+.-]*:")
_HSTS_SECONDS = 365 * 24 * 3600


def content_security_policy(form_targets: Iterable[str] = ()) -> str:
    """Write the policy of a page whose forms may lead to `form_targets` too.

    A target comes from `form_target`; anything else raises `ValueError`, since a `;` in it
    would begin a directive of its own.
    """
    targets = list(form_targets)
    for target in targets:
        if not (_HOST_SOURCE.fullmatch(target) or _SCHEME_SOURCE.fullmatch(target)):
            raise ValueError("no source of a content security policy")
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(["form-action 'self'", *targets]),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def form_target(uri: str) -> str:
    """Give what `form-action` must name for a form that ends at `uri` by redirects.

    Browsers hold redirects after a form to that list too. It is the origin; the scheme
    alone where there is none (private-use schemes, RFC 8252 §7.1) or where CSP cannot write
    it (IPv6 addresses). Raises `ValueError`.
    """
    parts = urlsplit(uri)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    if _HOST_SOURCE.fullmatch(origin):
        return origin
    scheme = f"{parts.scheme}:".lower()
    if not _SCHEME_SOURCE.fullmatch(scheme) or scheme in {"javascript:", "data:"}:
        raise ValueError("no place that a form may lead to")
    return scheme


class SecurityHeaders:
    """Gives each answer of an application the headers that it has not set itself."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        """`url`: scheme, host and port that people use."""
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), "
            "usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
        }
        parts = urlsplit(url)
        # The rule is for all ports of a host, so it is only ours to give on the usual one.
        if parts.scheme == "https" and parts.port in {None, 443}:
            self._headers["Strict-Transport-Security"] = f"max-age={_HSTS_SECONDS}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
