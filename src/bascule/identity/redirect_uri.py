"""Redirect URIs: which may be registered, and which requested one is a registered one."""

from __future__ import annotations

import re

from bascule.config.addresses import is_loopback, web_address

_LOOPBACK = re.compile(r"(http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(/.*)?")
MAX_CHARACTERS = 2048


def redirect_uri_problem(uri: str) -> str | None:
    """Say why a redirect URI cannot be used; None when it can.

    https, or http to loopback (MCP 2026-07-28, authorization); no fragment (RFC 6749
    §3.1.2). Schemes of apps are not accepted: any app may claim one (RFC 8252 §8.4).
    """
    parts = web_address(uri) if len(uri) <= MAX_CHARACTERS else None
    if parts is None or "#" in uri or parts.username is not None:
        return "is no redirect URI: it must be a URL without user and fragment"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "must be https, or http to loopback"
    return None


def is_registered(requested: str, registered: str) -> bool:
    """Tell whether a requested URI is the registered one: the same text.

    On loopback over http the port may be another one, since native apps take whatever port
    is free (RFC 8252 §7.3). That includes `localhost`, which clients use despite §8.3.
    """
    if requested == registered:
        return True
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(requested)
    if ours is None or theirs is None or redirect_uri_problem(requested) is not None:
        return False
    return ours.groups() == theirs.groups()


def is_local(uri: str) -> bool:
    """Tell whether a redirect ends on the user's own machine, at whatever listens there."""
    parts = web_address(uri)
    return parts is not None and is_loopback(parts.hostname or "")
