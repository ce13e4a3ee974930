"""Package URLs (ECMA-427), as far as packages of PyPI and npm need them."""

from __future__ import annotations

from urllib.parse import quote, unquote

from bascule.lock.model import LockError


def purl_of(ecosystem: str, name: str, version: str) -> str:
    """Give the package URL of `name` as the registry spells it."""
    path = "/".join(quote(part, safe="") for part in name.split("/"))
    return f"pkg:{ecosystem}/{path}@{quote(version, safe='')}"


def name_of(purl: str) -> str:
    """Give the package's name, a scope of npm included. Raises `LockError`."""
    return _parts(purl)[0]


def version_of(purl: str) -> str:
    """Give the version. Raises `LockError`."""
    return _parts(purl)[1]


def told(purl: str) -> str:
    """Give `NAME@VERSION` for messages."""
    return "@".join(_parts(purl))


def _parts(purl: str) -> tuple[str, str]:
    path, at, version = purl.rpartition("@")
    kind, slash, name = path.partition("/")
    if not at or not slash or not kind.startswith("pkg:") or not name or not version:
        raise LockError(f"`{purl}` is no package URL with a version")
    return unquote(name), unquote(version)
