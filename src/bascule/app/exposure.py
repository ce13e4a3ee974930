"""`bascule doctor --exposure`: does the deployment show what it should, and nothing else?

Followed from outside, through the public URL and whatever stands in between, as a client
does: what the deployment says of itself must be so. No token is needed, and none is shown.
"""

from __future__ import annotations

import datetime
import email.utils
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bascule.app.doctor import Finding, finding
from bascule.app.probe import Probe, Reply
from bascule.clock import UnixTime
from bascule.config.addresses import host_and_port
from bascule.config.model import Config
from bascule.identity.resource import metadata_address, resource_identifier
from bascule.scan.interfaces import own_addresses

HOSTILE = "rebind-probe.invalid"
"""Nobody has that name (RFC 2606 §2)."""
GARBAGE = "not-a-token"
SKEW_SECONDS = 30
"""As much as tokens may be off."""
RENEW_DAYS = 14
CONNECT_SECONDS = 2.0

_DOCUMENTS = (
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
)
_INSIDE = ("/metrics", "/console", "/admin/api/")
"""Paths of the admin listener."""
_ABSENT = frozenset({404, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the configuration says of where it is reached."""

    public_url: str
    connectors: tuple[str, ...]
    admin_host: str
    admin_port: int
    now: UnixTime


def deployment_of(
    config: Config, connectors: tuple[str, ...], *, now: UnixTime
) -> Deployment:
    """Read from a configuration where it is reached."""
    admin = host_and_port(config.server.admin_listen)
    assert admin is not None  # noqa: S101 - the configuration is validated
    return Deployment(config.server.public_url, connectors, *admin, now=now)


def examine_exposure(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """Try everything; what cannot be reached is a finding too."""
    try:
        first = probe.get("/readyz")
    except OSError as exc:
        fix = "make `server.public_url` lead here: look at name, proxy and certificate"
        yield finding(None, "reachable", False, f"{it.public_url}: {exc}", fix)
        return
    yield _clock(first, it.now)
    for step in (_certificate, _documents, _resources, _authorization, _names, _inside):
        try:
            yield from step(probe, it)
        except OSError as exc:
            name = step.__name__.removeprefix("_")
            yield finding(None, name, False, f"it broke: {exc}", "try again")
    yield _admin(it)


def _clock(reply: Reply, now: UnixTime) -> Finding:
    said = reply.headers.get("date")
    if said is None:
        return finding(None, "clock", True, "answers have no `Date` to compare with", "")
    try:
        skew = email.utils.parsedate_to_datetime(said).timestamp() - now
    except ValueError:
        return finding(None, "clock", False, "`Date` is no date", "look at the proxy")
    return finding(
        None,
        "clock",
        abs(skew) <= SKEW_SECONDS,
        f"what answers is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
        "let the hosts take their time from one source (NTP)",
    )


def _certificate(_: Probe, it: Deployment) -> Iterator[Finding]:
    url = urlsplit(it.public_url)
    if url.scheme != "https":
        return
    host, port = url.hostname or "", url.port or 443
    with (
        socket.create_connection((host, port), timeout=CONNECT_SECONDS) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
    ):
        certificate, version = secure.getpeercert() or {}, secure.version()
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - it.now) // datetime.timedelta(days=1).total_seconds())
    yield finding(
        None,
        "certificate",
        days >= RENEW_DAYS,
        f"{version}, the certificate ends in {days} days",
        "renew the certificate, and let that happen by itself",
    )


def _documents(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """Compare what the authorization server says of itself, and follow it."""
    replies = [probe.get(path) for path in _DOCUMENTS]
    documents = [reply.message for reply in replies]
    missing = [path for path, found in zip(_DOCUMENTS, documents, strict=True) if not found]
    yield finding(
        None,
        "documents",
        not missing,
        f"missing: {' '.join(missing)}" if missing else "both documents are there",
        "let the proxy pass `/.well-known/` on",
    )
    first, second = documents
    if missing:
        return
    differing = sorted(name for name in first if first[name] != second.get(name))
    own = first.get("issuer") == it.public_url
    yield finding(
        None,
        "issuer",
        own and not differing,
        f"the issuer is {first.get('issuer')}"
        + (f"; the documents differ in {' '.join(differing)}" if differing else ""),
        "set `server.public_url` to what clients write, and restart every replica",
    )
    yield from _endpoints(probe, it, first)


def _endpoints(
    probe: Probe, it: Deployment, document: Mapping[str, object]
) -> Iterator[Finding]:
    """Ask each endpoint that is advertised; a GET does nothing at any of them."""
    for name, value in sorted(document.items()):
        if not (name.endswith("_endpoint") or name == "jwks_uri"):
            continue
        url = str(value)
        if not url.startswith(f"{it.public_url}/"):
            fix = "set `server.public_url` to what clients write, and restart"
            yield finding(None, name, False, f"{url} is elsewhere", fix)
            continue
        status = probe.get(url.removeprefix(it.public_url)).status
        yield finding(
            None,
            name,
            status not in _ABSENT,
            f"{urlsplit(url).path}: {status}",
            f"let the proxy pass `{urlsplit(url).path}` on",
        )


def _resources(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """Compare what each connector says of itself with what clients ask for."""
    for name in it.connectors:
        address = metadata_address(it.public_url, name)
        said = probe.get(address.removeprefix(it.public_url)).message
        resource, servers = said.get("resource"), said.get("authorization_servers")
        issuers = ", ".join(map(str, servers)) if isinstance(servers, list) else servers
        agrees = resource == resource_identifier(it.public_url, name)
        yield finding(
            name,
            "resource",
            agrees and servers == [it.public_url],
            f"resource {resource}, tokens from {issuers}",
            "set `server.public_url` to what clients write, and restart every replica",
        )


def _authorization(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """See whether a token arrives: a bad one is told from none (RFC 6750 §3.1)."""
    name = it.connectors[0] if it.connectors else "doctor"
    none, bad = (probe.call(name, token, "ping") for token in (None, GARBAGE))
    told = 'error="invalid_token"'
    arrived = told in _challenge(bad) and told not in _challenge(none)
    yield finding(
        None,
        "authorization",
        (none.status, bad.status) == (401, 401) and arrived,
        f"without a token: {none.status}, with a bad one: {bad.status}, "
        + ("told apart" if arrived else "not told apart"),
        "let the proxy pass `Authorization` on, and neither set nor answer it",
    )


def _challenge(reply: Reply) -> str:
    return reply.headers.get("www-authenticate", "")


def _names(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """See whether names of others are refused (DNS rebinding)."""
    name = it.connectors[0] if it.connectors else "doctor"
    path = metadata_address(it.public_url, name).removeprefix(it.public_url)
    status, body = _asked_as(HOSTILE, probe, path)
    yield finding(
        None,
        "host",
        not (status == 200 and body),
        f"asked as {HOSTILE}: {status or 'the connection was cut'}",
        "let the proxy pass `Host` on as it came: it must not write its own",
    )
    reply = probe.call(name, None, "ping", origin=f"https://{HOSTILE}")
    yield finding(
        None,
        "origin",
        reply.status == 403,
        f"asked by a page of {HOSTILE}: {reply.status}",
        "let the proxy pass `Origin` on as it came",
    )


def _asked_as(host: str, probe: Probe, path: str) -> tuple[int, bytes]:
    """Ask under another name; a proxy may cut the connection."""
    try:
        reply = probe.get(path, {"Host": host})
    except OSError:
        return 0, b""
    return reply.status, reply.body


def _inside(probe: Probe, it: Deployment) -> Iterator[Finding]:
    """See whether the admin listener is to be had through the public URL."""
    shown = [path for path in _INSIDE if probe.get(path).status not in {404, 421}]
    yield finding(
        None,
        "inside",
        not shown,
        f"answered: {' '.join(shown)}" if shown else "nothing of the admin listener",
        "let no proxy lead to the admin listener, and serve only what clients need: "
        "see `deploy/`",
    )


def _admin(it: Deployment) -> Finding:
    """See on which addresses of this host the admin listener is to be had."""
    wide = [
        address.address
        for address in own_addresses()
        if address.reach != "loopback" and _connects(address.connectable, it.admin_port)
    ]
    return finding(
        None,
        "admin",
        not wide or it.admin_host not in {"localhost", "127.0.0.1", "::1"},
        f"port {it.admin_port} answers on {' '.join(wide)}" if wide else "on loopback only",
        "find out what forwards that port, or set `server.admin_listen` to a free one",
    )


def _connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
