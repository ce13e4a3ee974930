"""Whether a client reaches a server through Bascule, by what its file says."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from bascule.lock.bridges import BRIDGES
from bascule.scan.configured import Configured
from bascule.scan.started import Started

DEFAULT = ("http://localhost:8420", "http://127.0.0.1:8420", "http://[::1]:8420")
"""Where Bascule is reached unless it was told otherwise."""

_ENDPOINT = re.compile(r"/c/[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?/mcp/?|/mcp/?")
_STARTS = ("connect", "run")
_PORTS = {"http": 80, "https": 443}


def through_bascule(
    server: Configured, started: Started, public_urls: Collection[str]
) -> bool | None:
    """Tell whether a server is reached through Bascule.

    None for a URL that has the form of Bascule's at a place that nobody named as one.
    """
    if server.url:
        return _of_url(server.url, public_urls)
    if _is_bascule(started):
        return True
    bridged = started.package in BRIDGES.get(started.ecosystem or "", ())
    if bridged:
        urls = [word for word in started.words if "://" in word]
        if len(urls) == 1:
            return _of_url(urls[0], public_urls)
    return False


def _of_url(url: str, public_urls: Collection[str]) -> bool | None:
    place = _place(url)
    if place is None:
        return False
    origin, path = place
    is_endpoint = _ENDPOINT.fullmatch(path) is not None
    if any((known := _place(it)) is not None and known[0] == origin for it in public_urls):
        return is_endpoint
    return None if is_endpoint and path.startswith("/c/") else False


def _place(url: str) -> tuple[tuple[str, str, int], str] | None:
    """Give scheme, host and port as they are compared, and the path."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or "\\" in url:
        return None
    return (parts.scheme, host, port), parts.path


def _is_bascule(started: Started) -> bool:
    """Tell whether the command is `bascule connect` or `bascule run`, however started."""
    words = started.words
    if started.program == "bascule":
        return _command_of(words[1:]) in _STARTS
    if started.ecosystem == "pypi" and started.package == "bascule":
        at = max(
            (place for place, word in enumerate(words) if "bascule" in word), default=0
        )
        return _command_of(words[at + 1 :]) in _STARTS
    if started.program.startswith("python") and words[1:3] == ("-m", "bascule"):
        return _command_of(words[3:]) in _STARTS
    return False


def _command_of(words: tuple[str, ...]) -> str:
    """Give the subcommand, behind options such as `--config FILE`."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 1 if "=" in words[at] else 2
    return words[at] if at < len(words) else ""
