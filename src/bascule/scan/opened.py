"""Folders that a client has opened, as its own files tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from bascule.scan.clients import Location
from bascule.scan.clients.places import is_absolute

_MOST = 2_000
_NO_FOLDERS = re.compile(r"/(?:proc|sys|dev|net)(?:/|$)")


def opened(value: object, location: Location) -> Iterator[str]:
    """Give the folders of projects that a file names; a `.code-workspace` file counts.

    Only what is on this machine: never a share of Windows, and no folder of devices.
    """
    if not isinstance(value, dict):
        return
    named: list[object] = []
    if location.reads == "workspace":
        named = [value.get("folder"), value.get("workspace")]
    elif location.reads == "projects" or location.format == "toml":
        projects = value.get("projects")
        named = list(projects)[:_MOST] if isinstance(projects, dict) else []
    for each in named:
        path = _local(each) if isinstance(each, str) else ""
        if is_absolute(path) and not _NO_FOLDERS.match(path):
            yield (
                path.replace("\\", "/").rstrip("/") if os.name == "nt" else path.rstrip("/")
            )


def _local(named: str) -> str:
    if "://" not in named:
        return named
    try:
        parts = urlsplit(named)
    except ValueError:
        return ""
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return ""
    path = unquote(parts.path)
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path
