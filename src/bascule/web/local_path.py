"""Where a page may send somebody on to: places of this site only."""

from __future__ import annotations

import re

MAX_CHARACTERS = 2048

_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")
"""Visible ASCII without a backslash; not `//`, which begins with another host."""


def local_path(text: str | None) -> str | None:
    """Give `text` when a browser that is sent there stays on this site; else None.

    Browsers read a backslash as `/` and leave out tabs and line ends (WHATWG URL), so text
    with any of these is no path here.
    """
    if text is None or len(text) > MAX_CHARACTERS or _LOCAL.fullmatch(text) is None:
        return None
    return text
