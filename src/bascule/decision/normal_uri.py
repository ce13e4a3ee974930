"""Resource URIs that policies can be held against letter by letter."""

from __future__ import annotations

import re

_SEPARATOR = r"(?:[/\\?#]|%(?:25)*(?:2f|5c|3f|23))"
_DOT = r"(?:\.|%(?:25)*2e)"
_dot_segment = re.compile(
    rf"(?:^|{_SEPARATOR}){_DOT}{{1,2}}(?:$|{_SEPARATOR})", re.IGNORECASE
)
# ALPHA, DIGIT, "-", ".", "_", "~" (RFC 3986 §2.3) behind a percent sign.
_needless_escape = re.compile(
    r"%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE
)
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def is_normal(uri: str) -> bool:
    """Whether an upstream that normalises (RFC 3986 §6.2.2) would read the same URI.

    Three things make `file:///docs/*` cover more than it says, or let a forbidden URI look
    like another: dot segments, escapes of characters that need none, and a scheme in
    capitals. The case of hosts is left alone, since many servers use them as plain names.
    """
    scheme = _scheme.match(uri)
    if scheme is not None and scheme[0] != scheme[0].lower():
        return False
    return not (_dot_segment.search(uri) or _needless_escape.search(uri))
