"""Values of `Mcp-Name` and `Mcp-Param-*`: any text in a header (MCP 2026-07-28)."""

from __future__ import annotations

import base64
import binascii
import re

from bascule.errors import BasculeError

_OPEN = "=?base64?"
_CLOSE = "?="
_PLAIN = re.compile(r"([!-~]([ -~]*[!-~])?)?")
"""Visible ASCII, spaces inside only."""


class HeaderValueError(BasculeError):
    """The value cannot be read."""


def decode(value: bytes) -> str:
    """Read a header value: plain visible ASCII, or Base64 of UTF-8 between its markers.

    Raises `HeaderValueError`, and nothing else, for any bytes.
    """
    try:
        text = value.strip(b" \t").decode("ascii")
    except UnicodeDecodeError as exc:
        raise HeaderValueError("header value is not ASCII") from exc
    if any(not " " <= char <= "~" for char in text):
        raise HeaderValueError("header value has a control character")
    if not (text.startswith(_OPEN) and text.endswith(_CLOSE)):
        return text
    try:
        return base64.b64decode(text[len(_OPEN) : -len(_CLOSE)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise HeaderValueError("header value is no Base64 of UTF-8") from exc


def encode(text: str) -> bytes:
    """Write a header value; what `decode` would not give back as it is goes as Base64."""
    if _PLAIN.fullmatch(text) and not (text.startswith(_OPEN) and text.endswith(_CLOSE)):
        return text.encode("ascii")
    encoded = base64.b64encode(text.encode()).decode("ascii")
    return f"{_OPEN}{encoded}{_CLOSE}".encode("ascii")
