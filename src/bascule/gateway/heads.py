"""Heads of requests that are refused: what two readers could read differently."""

from __future__ import annotations

import re

from bascule.config.model import Limits
from bascule.gateway.exchange import Exchange

_UNUSUAL = frozenset({b"upgrade", b"transfer-encoding", b"expect"})
_TARGET = re.compile(rb"/[!-\"$-~]*")
"""Origin form in visible ASCII, without a fragment."""


def head_problem(request: Exchange, limits: Limits) -> tuple[int, str] | None:
    """Give status and sentence for a head that is refused, None for a good one.

    But for those on sizes, each rule takes away a way for two parsers to disagree about
    where a request ends, to whom it goes or who sent it (RFC 9112 §3, §6; RFC 9110 §5).
    Headers that stand twice are noticed as they come.
    """
    headers = request.headers
    names, values = b"".join(headers), b"".join(headers.values())
    # Four bytes go with each header: a colon, a space and the line's end.
    size = len(request.target) + len(names) + len(values) + 4 * len(headers)
    if size > limits.header_bytes:
        return 431, "request head is too large"
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limits.body_bytes:
        return 413, "request body is too large"
    if request.version not in {"1.1", "1.0"}:
        return 505, "HTTP version is not supported"
    if _TARGET.fullmatch(request.target) is None:
        return 400, "request target must be a path"
    if b"_" in names:
        return 400, "header name has an underscore"
    if not values.isascii():
        return 400, "header value is not ASCII"
    if b"host" not in headers:
        return 400, "header `host` is missing"
    return None if _UNUSUAL.isdisjoint(headers) else _unusual_problem(request)


def _unusual_problem(request: Exchange) -> tuple[int, str] | None:
    headers = request.headers
    if b"upgrade" in headers:
        return 400, "upgrade is not supported"
    if b"transfer-encoding" in headers:
        if headers[b"transfer-encoding"].lower() != b"chunked":
            return 400, "transfer encoding is not supported"
        if request.version == "1.0":
            return 400, "transfer encoding is not part of HTTP/1.0"
    if headers.get(b"expect", b"100-continue") != b"100-continue":
        return 417, "expectation is not supported"
    return None
