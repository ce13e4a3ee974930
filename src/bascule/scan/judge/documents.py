"""What the metadata of a resource and of its authorization servers say, read and judged."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import urlsplit

from bascule.config.addresses import is_loopback, web_address
from bascule.lock.invisible import visible
from bascule.net.addresses import literal, spells_loopback, unmapped
from bascule.scan.finding import Finding, found
from bascule.scan.interfaces import REACHES, Reach, reach_of
from bascule.scan.redaction import redacted
from bascule.scan.rules import identity as rules
from bascule.scan.target import shown

MOST = 20
"""Entries of a list that are looked at."""
SHOWN = 120
"""Characters that are shown of what others wrote."""

_METADATA_SERVICES = frozenset(
    {
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "metadata.google.internal",
    }
)
"""Where clouds tell machines their secrets."""

_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "jwks_uri",
)
_COMMAND = re.compile(r"[\"'`<>{}|\\^\s\x00-\x1f\x7f]|\$\(")
"""What no URL has, or what shells read; `'` and `$(` are legal, and nobody needs them."""

_WIDE_AT_THE_START = frozenset({"*", "admin", "administrator", "superuser"})
_WIDE_AT_THE_END = _WIDE_AT_THE_START | {
    "all",
    "full",
    "full_access",
    "full-access",
    "root",
}


def strings(value: Any) -> tuple[str, ...]:
    """Give the strings of a list that somebody else wrote, the first ones of many."""
    if not isinstance(value, list):
        return ()
    return tuple(it for it in value[:MOST] if isinstance(it, str))


def clipped(text: str) -> str:
    """Write what somebody else wrote: short, with nothing unseen, and no secret in it."""
    text = redacted(text)
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return f"`{visible(short)}`"


def judge_resource(
    document: Mapping[str, Any], *, url: str, target: str, reach: Reach
) -> Iterator[Finding]:
    """Judge the metadata of the resource at `url` (RFC 9728).

    `reach`: from where the server itself is reached.
    """
    resource = document.get("resource")
    said = clipped(resource) if isinstance(resource, str) else "none"
    if not names_another_place(resource, url) and not same_resource(resource, url):
        seen = f"`resource` is {said}, the server is `{shown(url)}`"
        yield found(rules.RESOURCE_MISMATCH, target, seen)
    servers = strings(document.get("authorization_servers"))
    if not servers:
        yield found(
            rules.NO_RESOURCE_METADATA,
            target,
            "the metadata name no `authorization_servers`",
        )
    yield from judge_addresses(
        [("authorization_servers", it) for it in servers], target=target, reach=reach
    )
    yield from judge_scopes(strings(document.get("scopes_supported")), target=target)
    if "query" in strings(document.get("bearer_methods_supported")):
        yield found(
            rules.TOKEN_IN_URL,
            target,
            "`bearer_methods_supported` has `query`",
            key="query",
            title="The server takes tokens in the URL",
        )


def judge_issuer(
    document: Mapping[str, Any], *, issuer: str, target: str, reach: Reach
) -> Iterator[Finding]:
    """Judge the metadata of one authorization server (RFC 8414)."""
    said = document.get("issuer")
    if said != issuer:
        seen = clipped(said) if isinstance(said, str) else "none"
        yield found(
            rules.ISSUER_MISMATCH,
            target,
            f"`issuer` is {seen}, the resource names {clipped(issuer)}",
            key=issuer,
        )
    endpoints = [(name, document.get(name)) for name in _ENDPOINTS]
    yield from judge_addresses(
        [(name, it) for name, it in endpoints if isinstance(it, str)],
        target=target,
        reach=reach,
    )
    yield from _judge_pkce(document, issuer, target)
    yield from _judge_grants(document, issuer, target)
    if document.get("authorization_response_iss_parameter_supported") is not True:
        yield found(
            rules.NO_ISS_PARAMETER,
            target,
            f"{clipped(issuer)}: `authorization_response_iss_parameter_supported` is not "
            "true",
            key=issuer,
        )


def judge_addresses(
    named: list[tuple[str, str]], *, target: str, reach: Reach
) -> Iterator[Finding]:
    """Judge addresses that metadata or a challenge name, each with the member it is in."""
    for member, address in named:
        seen = f"`{member}` is {clipped(address)}"
        if web_address(address) is None or _COMMAND.search(address):
            yield found(rules.METADATA_NOT_WEB, target, seen, key=member)
            continue
        host = (urlsplit(address).hostname or "").rstrip(".")
        if leads_inward(host, reach):
            yield found(rules.METADATA_POINTS_INWARD, target, seen, key=member)
        elif address.startswith("http:") and not is_loopback(host):
            yield found(rules.METADATA_CLEARTEXT, target, seen, key=member)


def judge_scopes(scopes: tuple[str, ...], *, target: str) -> Iterator[Finding]:
    """Judge the scopes that clients are told to ask for."""
    wide = [it for it in scopes if is_wide(it)]
    if wide:
        yield found(
            rules.WIDE_SCOPES, target, f"scopes: {', '.join(clipped(it) for it in wide)}"
        )


def is_wide(scope: str) -> bool:
    """Tell whether a scope, by its name, is for everything or for administrators."""
    words = [it for it in re.split(r"[:./\s]+", scope.lower()) if it]
    return bool(words) and (words[0] in _WIDE_AT_THE_START or words[-1] in _WIDE_AT_THE_END)


def leads_inward(host: str, reach: Reach) -> bool:
    """Tell whether a host is nearer to whoever asks it than the server that names it."""
    if host in _METADATA_SERVICES:
        return True
    there: Reach | None = "loopback" if host == "localhost" else _reach_of_literal(host)
    if there is None:
        return False
    if there == "link_local":
        return reach != "link_local"
    return REACHES.index(there) < REACHES.index(reach) and there != "bridge"


def _reach_of_literal(host: str) -> Reach | None:
    """Read an address however it is written; None for a name, which is not looked up."""
    address = literal(host.partition("%")[0])
    if address is None:
        try:  # as resolvers read numbers: `127.1`, `0x7f000001`, `2130706433`
            address = IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    address = unmapped(address)
    return "loopback" if address.is_unspecified else reach_of(str(address))


def same_resource(said: Any, url: str) -> bool:
    """Compare resource identifiers: scheme and host in any case, one slash at the end.

    Loopback is one host, whether it is written as a name or as an address.
    """
    return isinstance(said, str) and _canonical(said) == _canonical(url)


def names_another_place(said: Any, url: str) -> bool:
    """Tell whether a resource has a name, where the server was reached by its address.

    It may be the name under which a proxy serves it: nobody can tell from here.
    """
    parts = web_address(said) if isinstance(said, str) else None
    host = (urlsplit(url).hostname or "").lower()
    return (
        parts is not None
        and spells_loopback(host) | (literal(host) is not None)
        and not spells_loopback(parts.hostname or "")
        and parts.hostname != host
    )


def _canonical(url: str) -> tuple[str, str, int | None, str, str]:
    parts = web_address(url)
    if parts is None:
        return "", url, None, "", ""
    host = (parts.hostname or "").lower()
    return (
        parts.scheme,
        "localhost" if spells_loopback(host) else host,
        parts.port or {"http": 80, "https": 443}[parts.scheme],
        parts.path.removesuffix("/"),
        parts.query,
    )


def _judge_pkce(document: Mapping[str, Any], issuer: str, target: str) -> Iterator[Finding]:
    methods = strings(document.get("code_challenge_methods_supported"))
    member = f"{clipped(issuer)}: `code_challenge_methods_supported`"
    if "S256" not in methods:
        said = ", ".join(clipped(it) for it in methods) or "missing"
        yield found(rules.NO_PKCE, target, f"{member} is {said}", key=issuer)
    elif "plain" in methods:
        yield found(
            rules.NO_PKCE,
            target,
            f"{member} has `plain` beside `S256`",
            key=issuer,
            severity="low",
            title="The authorization server offers PKCE without protection too",
        )


def _judge_grants(
    document: Mapping[str, Any], issuer: str, target: str
) -> Iterator[Finding]:
    grants = {"implicit", "password"}.intersection(
        strings(document.get("grant_types_supported"))
    )
    types = [
        it
        for it in strings(document.get("response_types_supported"))
        if "token" in it.split()
    ]
    old = [*sorted(grants), *types]
    if old:
        seen = ", ".join(clipped(it) for it in old)
        yield found(
            rules.OLD_GRANTS, target, f"{clipped(issuer)} offers {seen}", key=issuer
        )
