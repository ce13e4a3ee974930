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
    """Give a value in backticks: without `user:password@`, safe for a terminal."""
    before, at, behind = value.rpartition("@")
    shown = f"***@{behind}" if at and ":" in before else value
    return f"`{shown if shown.isprintable() else ascii(shown)[1:-1]}`"
