"""Places and values of the configuration file, as messages write them."""

from __future__ import annotations

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def below(path: str, key: str) -> str:
    """Give the path of a key in the table at `path`: `roles.clerk`, `scopes."a.b"`."""
    written = key if _BARE.fullmatch(key) else json.dumps(key)
    return f"{path}.{written}" if path else written


def quoted(value: str) -> str:
    """Give a value in backticks, with what a terminal would act on escaped."""
    return f"`{value if value.isprintable() else ascii(value)[1:-1]}`"
