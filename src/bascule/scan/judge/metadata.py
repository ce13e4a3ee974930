"""Where a server says that tokens come from: fetched through the gate, and judged.

Everything here was written by whoever is probed, who may want the scan to ask others in its
place. So what it names is asked only where it is in scope and no nearer to the scan than
the server itself, only at addresses that are for such documents, and without redirects.
What is not asked is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from bascule.config.addresses import web_address
from bascule.scan import eras
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding, found
from bascule.scan.interfaces import Reach, reach_of
from bascule.scan.judge.documents import (
    clipped,
    judge_addresses,
    judge_issuer,
    judge_resource,
    judge_scopes,
    leads_inward,
    names_another_place,
    strings,
)
from bascule.scan.judge.legs import Verdict, gap, named
from bascule.scan.place import Answered
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.rules import identity as rules
from bascule.scan.scope import OutOfScopeError
from bascule.scan.target import Target, TargetError
from bascule.scan.wire import Wire

MAX_SERVERS = 3
"""Authorization servers of one resource that are asked."""
MAX_BYTES = 256 << 10
"""Of one document."""
WELL_KNOWN_RESOURCE = "/.well-known/oauth-protected-resource"
NOT_JSON = b"bascule-probe asks who may register; this is no registration"
"""Nothing can come of it: RFC 7591 §3.1 wants a JSON object."""

_ASKS = frozenset({"token_required", "discovery_open", "forbidden", "garbage_accepted"})
_PARAMETER = r'(?:^|[\s,]){}\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))'


async def judge_metadata(wire: Wire, identity: Identity) -> Verdict:
    """Judge the challenge, the resource's metadata, and those of who issues its tokens."""
    asks_nothing = identity.state == "forbidden" and not identity.challenges
    if identity.state not in _ASKS or asks_nothing:
        return []
    target, reach = named(identity), _reach(identity)
    given = parameter(identity.challenges, "resource_metadata")
    verdict: Verdict = []
    if given is not None:
        verdict += judge_addresses(
            [("resource_metadata", given)], target=target, reach=reach
        )
    scopes = parameter(identity.challenges, "scope") or ""
    verdict += judge_scopes(tuple(scopes.split()[:20]), target=target)
    document, gaps = await _resource_document(wire, identity, given)
    if document is None:
        return [*verdict, *gaps] if gaps else [*verdict, _no_metadata(identity, given)]
    verdict += judge_resource(document, url=identity.url, target=target, reach=reach)
    resource = document.get("resource")
    if names_another_place(resource, identity.url):
        why = f"it says it is {clipped(str(resource))}: probe it by that URL too"
        verdict.append(gap(identity, rules.RESOURCE_MISMATCH, why))
    servers = strings(document.get("authorization_servers"))
    for issuer in servers[:MAX_SERVERS]:
        verdict += await _judge_server(wire, identity, issuer)
    for issuer in servers[MAX_SERVERS:]:
        why = f"only {MAX_SERVERS} of the authorization servers are asked"
        verdict.append(_gap(identity, issuer, why))
    return verdict


def parameter(challenges: tuple[str, ...], name: str) -> str | None:
    """Read a parameter of a challenge (RFC 9110 §11.6.1), the first of that name."""
    pattern = re.compile(_PARAMETER.format(re.escape(name)), re.IGNORECASE)
    for challenge in challenges:
        if (match := pattern.search(challenge)) is not None:
            quoted, plain = match.groups()
            return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
    return None


def issuer_addresses(issuer: str) -> list[str]:
    """Give where the metadata of an issuer may be, in the order of MCP authorization."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found_at = [
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    ]
    return [*found_at, f"{origin}{path}/.well-known/openid-configuration"][
        : 3 if path else 2
    ]


async def _resource_document(
    wire: Wire, identity: Identity, given: str | None
) -> tuple[dict[str, Any] | None, list[Gap]]:
    """Fetch the metadata; gaps where it may exist, and none where it surely does not."""
    at = f"{identity.place.origin}{WELL_KNOWN_RESOURCE}"
    if given is None:
        addresses = [at + identity.path.rstrip("/"), at]
        return await _first(wire, identity, list(dict.fromkeys(addresses)))
    own = given.startswith(f"{identity.place.origin}/")
    if own or _path(given).startswith(f"{WELL_KNOWN_RESOURCE}/"):
        return await _first(wire, identity, [given])
    why = "another server is asked for metadata at well-known addresses alone"
    return None, [_gap(identity, given, why)]


async def _first(
    wire: Wire, identity: Identity, addresses: list[str]
) -> tuple[dict[str, Any] | None, list[Gap]]:
    gaps = []
    for address in addresses:
        answered = await _asked(wire, identity, "GET", address, {})
        if isinstance(answered, str):
            gaps.append(_gap(identity, address, answered))
        elif answered.status == 200:
            document = eras.read_object(answered.body)
            if document is not None:
                return document, []
            gaps.append(_gap(identity, address, answered.cut or "it is no JSON object"))
        elif answered.status not in {404, 405, 410}:
            gaps.append(_gap(identity, address, _status(answered)))
    return None, gaps


async def _asked(
    wire: Wire,
    identity: Identity,
    method: str,
    address: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Answered | str:
    """Ask an address that somebody else named, or say why not."""
    reach = _reach(identity)
    try:
        target = Target.of_url(address)
        place = await wire.place(target)
        if any(leads_inward(it, reach) for it in (place.host, *place.addresses)):
            return "it was not asked: it leads inward, where the server cannot reach"
        if ".." in unquote(target.path or "").replace("\\", "/").split("/"):
            return "it was not asked: its path leads back up"
        asked = {"Accept": "application/json", **headers}
        limits = replace(wire.limits, body_bytes=min(MAX_BYTES, wire.limits.body_bytes))
        return await wire.ask(place, method, target.path or "/", asked, body, limits=limits)
    except (TargetError, OutOfScopeError, WireError, ValueError) as exc:
        return f"it was not asked: {exc}"


def _path(url: str) -> str:
    parts = web_address(url)
    return "" if parts is None else f"{parts.path}/"


def _status(answered: Answered) -> str:
    if 300 <= answered.status < 400:
        to = clipped(answered.header("location") or "nowhere")
        return f"it redirects to {to}, which is not followed"
    return f"it answers {answered.status}"


async def _judge_server(wire: Wire, identity: Identity, issuer: str) -> Verdict:
    try:
        addresses = issuer_addresses(issuer)
    except ValueError:
        return []  # what it names is judged to be no web address
    document, gaps = await _first(wire, identity, addresses)
    if document is None:
        whys = dict.fromkeys(it.why for it in gaps)
        why = "; ".join(whys) or "no metadata are where the standards put them"
        return [_gap(identity, issuer, why)]
    verdict: Verdict = [
        *judge_issuer(
            document, issuer=issuer, target=named(identity), reach=_reach(identity)
        )
    ]
    endpoint = document.get("registration_endpoint")
    if isinstance(endpoint, str) and web_address(endpoint) is not None:
        verdict += await _judge_registration(wire, identity, issuer, endpoint)
    return verdict


async def _judge_registration(
    wire: Wire, identity: Identity, issuer: str, endpoint: str
) -> Verdict:
    """Ask for a registration that cannot be one, to see whether strangers are refused."""
    if _origin(endpoint) != _origin(issuer):
        why = "it is of another origin than its issuer, so nothing is sent there"
        return [_gap(identity, endpoint, why)]
    headers = {"Content-Type": "application/json"}
    answered = await _asked(wire, identity, "POST", endpoint, headers, NOT_JSON)
    if isinstance(answered, str):
        return [_gap(identity, endpoint, answered)]
    if answered.status in {401, 403}:
        return []
    if answered.status in {400, 415, 422}:
        seen = (
            f"{clipped(endpoint)} answers a stranger's POST that is no JSON with "
            f"{answered.status}, not with 401"
        )
        return [found(rules.OPEN_REGISTRATION, named(identity), seen, key=endpoint)]
    return [_gap(identity, endpoint, _status(answered))]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _no_metadata(identity: Identity, given: str | None) -> Finding:
    """Weigh it: no OAuth at all is a choice, and to promise it a mistake."""
    rule, target = rules.NO_RESOURCE_METADATA, named(identity)
    if given is None:
        seen = (
            "the challenge names no `resource_metadata`, and nothing is at "
            f"{WELL_KNOWN_RESOURCE}"
        )
        return found(rule, target, seen, severity="info")
    return found(rule, target, f"{clipped(given)}, which the challenge names, is not there")


def _gap(identity: Identity, address: str, why: str) -> Gap:
    return Gap(target=named(identity), what=f"metadata at {clipped(address)}", why=why)


def _reach(identity: Identity) -> Reach:
    return reach_of(identity.baseline.address.rpartition(":")[0].strip("[]"))
