"""What is to be probed, and how it is called in reports: without what may be a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from bascule.config.addresses import web_address
from bascule.errors import BasculeError
from bascule.scan.secret_names import names_secret, names_weakly

HIDDEN = "…"
"""Stands for what is not shown."""

_SECRET = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_.~=%+-]{20,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


_ANY_ADDRESS = {"0.0.0.0": ("127.0.0.1",), "::": ("::1",)}  # noqa: S104 - as clients take it
"""Where a connection to no address in particular goes."""


class TargetError(BasculeError):
    """What was named is nothing that can be probed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place to look for MCP servers at."""

    host: str
    """As the URL names it, in lower case, IPv6 without brackets."""
    port: int
    secure: bool | None
    """Whether TLS is spoken; None: tried without, and with it where that fails."""
    path: str | None = None
    """The one that was named; None: the usual ones are tried."""
    hints: tuple[str, ...] = ()
    """More paths to try, such as clients' files name them."""
    addresses: tuple[str, ...] = ()
    """Literals to connect to, where they are known; else the name is looked up once."""
    withheld: tuple[str, ...] = ()
    """Parts of the URL that were left out, since they may be a credential."""
    credential: str = ""
    """Which of them is one by its name; empty where none is."""

    @classmethod
    def of_url(cls, url: str) -> Target:
        """Read a URL. What may be a credential in it is left out and never sent.

        Raises `TargetError`.
        """
        parts = web_address(url)
        if parts is None or parts.hostname is None:
            raise TargetError(_wanted(url))
        secure = parts.scheme == "https"
        return cls(
            host=parts.hostname,
            port=parts.port or (443 if secure else 80),
            secure=secure,
            path=parts.path if parts.path.strip("/") else None,
            addresses=_ANY_ADDRESS.get(parts.hostname, ()),
            withheld=_withheld(parts),
            credential=_credential(parts),
        )

    @classmethod
    def of_port(
        cls, address: str, port: int, *, host: str = "", hints: tuple[str, ...] = ()
    ) -> Target:
        """Name a port of an address literal, which may have a zone."""
        bare = host or address.partition("%")[0]
        return cls(host=bare, port=port, secure=None, addresses=(address,), hints=hints)

    @property
    def origin(self) -> str:
        """The URL without its path."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{authority(self.host, self.port, secure=bool(self.secure))}"

    @property
    def shown(self) -> str:
        """How reports call it."""
        return shown(f"{self.origin}{self.path or '/'}")


def _wanted(url: str) -> str:
    """Say how a URL is written, with the scheme where that is all that it lacks."""
    whole = f"http://{url}"
    if "://" not in url and web_address(whole) is not None:
        return f"a URL to probe has a scheme: write `{shown(whole)}`"
    return f"`{shown(url)}` is no URL to probe: http or https, a host, visible ASCII"


def authority(host: str, port: int, *, secure: bool) -> str:
    """Write what `Host` says: the port only where it is not the scheme's own."""
    name = f"[{host}]" if ":" in host else host
    return name if port == (443 if secure else 80) else f"{name}:{port}"


def shown(url: str) -> str:
    """Write a URL so that nothing of it is a secret.

    User, password, query and fragment go, and segments of the path that look like a key.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    place = parts.netloc.rpartition("@")[2]
    path = shown_path(f"{parts.path}?" if parts.query else parts.path)
    return f"{parts.scheme}://{place}{path}" if place else path


@lru_cache(1024)
def shown_path(path: str) -> str:
    """Hide the query of a path, and its segments that look like a key."""
    bare, mark, _ = path.partition("?")
    shown = "/".join(HIDDEN if looks_secret(it) else it for it in bare.split("/"))
    return f"{shown}?{HIDDEN}" if mark else shown


def looks_secret(segment: str) -> bool:
    """Tell whether a segment of a path may be a key: long, letters and digits, no UUID."""
    return bool(_SECRET.fullmatch(segment)) and not _UUID.fullmatch(segment)


def _withheld(parts: SplitResult) -> tuple[str, ...]:
    named = {
        "the user and password": parts.username is not None or parts.password is not None,
        "the query": bool(parts.query),
    }
    return tuple(name for name, is_there in named.items() if is_there)


def _credential(parts: SplitResult) -> str:
    """Name what is a credential: never what it is."""
    if parts.password is not None:
        return "the password"
    names = (pair.partition("=")[0] for pair in parts.query.split("&"))
    telling = (it for it in names if names_secret(it) or names_weakly(it))
    return next((f"the parameter `{it[:64]}`" for it in telling), "")
