"""What a probe met, as a row, findings and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urljoin

from msgspec import structs

from bascule.config.addresses import web_address
from bascule.lock.invisible import visible
from bascule.scan.exchange import Failure
from bascule.scan.finding import Finding, found
from bascule.scan.identify import Sighting
from bascule.scan.interfaces import Reach, reach_of
from bascule.scan.judge.documents import clipped, leads_inward
from bascule.scan.lists import NO_SUCH_METHOD
from bascule.scan.probed import Identity, Probed
from bascule.scan.redaction import redacted
from bascule.scan.report import Gap
from bascule.scan.rule import Severity
from bascule.scan.rules import probe as rules
from bascule.scan.rules.identity import TOKEN_IN_URL
from bascule.scan.server import Auth, Server, State, Transport
from bascule.scan.target import Target, shown
from bascule.scan.walk import Walk
from bascule.scan.wire import Answered

SHOWN_NAMES = 5
MAX_NAME = 80
IS_MCP = "whether it is an MCP server"
GARBAGE_ACCEPTED = "garbage-bearer-accepted"
"""The rule whose finding makes a state."""

_BY_FAILURE: dict[Failure, State] = {
    "refused": "unreachable",
    "unreachable": "unreachable",
    "client_certificate": "mutual_tls",
    "not_http": "not_mcp",
}


def described(seen: Sighting, identity: Identity) -> Probed:
    """Describe an endpoint that was found, as it stands before judges have looked."""
    target = shown(identity.url)
    findings = (*_of_state(identity, target), *_of_tls(identity.baseline, target))
    gaps = [
        Gap(target=target, what=f"all of `{method}`", why=why)
        for method, why in seen.listed.unfinished.items()
    ]
    gaps += [
        Gap(target=target, what=f"`{method}`", why=why)
        for method, why in seen.listed.refused.items()
        if why != NO_SUCH_METHOD and identity.state != "discovery_open"
    ]
    return Probed(
        server=_row(identity, target, seen),
        findings=findings,
        not_assessed=tuple(gaps),
        identity=identity,
    )


def judged(probed: Probed, results: list[Finding | Gap]) -> Probed:
    """Add what judges say."""
    findings = tuple(it for it in results if isinstance(it, Finding))
    gaps = tuple(it for it in results if isinstance(it, Gap))
    accepts_garbage = any(it.rule == GARBAGE_ACCEPTED for it in findings)
    server, identity = probed.server, probed.identity
    return replace(
        probed,
        server=structs.replace(server, state="garbage_accepted")
        if accepts_garbage
        else server,
        identity=replace(identity, state="garbage_accepted")
        if accepts_garbage and identity is not None
        else identity,
        findings=(*probed.findings, *findings),
        not_assessed=(*probed.not_assessed, *gaps),
    )


def unknown(target: Target, why: str) -> Probed:
    """Describe a target that was not asked."""
    name = target.shown
    gap = Gap(target=name, what=IS_MCP, why=why)
    return Probed(server=Server(name=name, url=name), not_assessed=(gap,))


def summed_up(target: Target, met: Walk, probed: list[Probed], ended: str) -> Probed:
    """Put together what was met at a target."""
    name = target.shown
    findings = tuple(_of_walk(target, met))
    gaps = [
        Gap(target=name, what="what the URL reaches", why=f"{part} of it is not sent")
        for part in target.withheld
    ]
    gaps += [
        Gap(
            target=shown(f"{met.place.origin}{path}") if met.place else name,
            what=f"where it leads ({clipped(shown(location))})",
            why="redirects are not followed",
        )
        for path, location in met.redirects.items()
        if not probed or path == target.path
    ]
    whys = [it for it in (met.stopped, ended) if it]
    gaps += [Gap(target=name, what="its other paths", why=why) for why in whys]
    if probed and (target.path is None or _path(probed[0]) == target.path):
        first = probed[0]
        if target.credential:
            first = _with_token_in_url(first, target)
        return replace(
            first,
            findings=(*first.findings, *findings),
            not_assessed=(*first.not_assessed, *gaps),
            others=tuple(probed[1:]),
        )
    state, why = _state(met, ended)
    if why:
        gaps.insert(0, Gap(target=name, what=IS_MCP, why=why))
    if met.first is not None and target.secure:
        findings = (*findings, *_of_tls(met.first, name))
    auth = "mtls" if state == "mutual_tls" else met.refused.auth if met.refused else None
    server = Server(name=name, url=name, state=state, auth=auth)
    if met.first is not None:
        server = structs.replace(server, address=met.first.address)
    return Probed(
        server=server,
        findings=findings,
        not_assessed=tuple(gaps),
        failure=None if met.problem is None else met.problem.failure,
        status=_status(met),
        others=tuple(probed),
    )


def _path(probed: Probed) -> str:
    return "" if probed.identity is None else probed.identity.path


def _with_token_in_url(probed: Probed, target: Target) -> Probed:
    """Add that a credential stands in the URL by which it is known, which was not sent."""
    seen = f"{visible(target.credential)} of the URL is a credential by its name"
    finding = found(TOKEN_IN_URL, target.shown, seen, key="named")
    server = probed.server
    if server.state in {"token_required", "forbidden"}:
        server = structs.replace(server, state="token_in_url", auth="url_token")
    return replace(probed, server=server, findings=(*probed.findings, finding))


def _state(met: Walk, ended: str) -> tuple[State, str]:
    """Give the state of what was not found to be MCP, and why that is not known."""
    if met.problem is not None:
        state = _BY_FAILURE.get(met.problem.failure, "unknown")
        return state, "" if state == "not_mcp" else str(met.problem)
    if met.refused is not None:
        return met.refused.state, (
            f"it refuses who shows no credential (HTTP {met.refused_status}) and says "
            "nothing of MCP"
        )
    status = _status(met)
    if ended:
        return "unknown", ended
    if status in {421, 429} or (status >= 500 and status != 501):
        return "unknown", f"it answers HTTP {status}"
    if met.first is not None and met.first.cut:
        return "unknown", met.first.cut
    if met.odd:
        return "unknown", met.odd
    return "not_mcp", ""


def _status(met: Walk) -> int:
    return 0 if met.first is None else met.first.status


def _row(identity: Identity, target: str, seen: Sighting) -> Server:
    transport: Transport | None = None
    if identity.era is not None:
        transport = "sse" if identity.era == "sse" else "http"
    auth: Auth | None = "none" if identity.state == "open" else None
    if identity.era is None and seen.refusal is not None:
        auth = seen.refusal.auth or "other"
    return Server(
        name=visible(redacted(identity.name)[:MAX_NAME]) or target,
        transport=transport,
        url=target,
        auth=auth,
        state=identity.state,
        address=identity.baseline.address,
    )


def _of_state(identity: Identity, target: str) -> Iterator[Finding]:
    if identity.state == "open":
        beyond = _reach(identity.baseline.address) != "loopback"
        severity: Severity = "critical" if beyond else "high"
        yield found(rules.OPEN_SERVER, target, _listing(identity), severity=severity)
    elif identity.state == "discovery_open":
        method = identity.greeting.method
        why = "; ".join(f"{name}: {it}" for name, it in identity.refused.items())
        yield found(
            rules.DISCOVERY_OPEN, target, f"`{method}` is answered without a token; {why}"
        )


def _listing(identity: Identity) -> str:
    """Say what is listed to strangers: numbers, and the names of some tools."""
    full = {method: entries for method, entries in identity.lists.items() if entries}
    counts = ", ".join(
        _counted(len(entries), method.partition("/")[0])
        for method, entries in (full or identity.lists).items()
    )
    names = [
        clipped(name)
        for it in identity.lists.get("tools/list", ())[:SHOWN_NAMES]
        if isinstance(name := it.get("name"), str)
    ]
    more = len(identity.lists.get("tools/list", ())) - len(names)
    tools = f": {', '.join(names)}{f' and {more} more' if more else ''}" if names else ""
    return f"it lists {counts} without a token{tools}"


def _counted(count: int, what: str) -> str:
    return f"1 {what.removesuffix('s')}" if count == 1 else f"{count} {what}"


def _of_tls(answered: Answered, target: str) -> Iterator[Finding]:
    if answered.tls is not None and answered.tls.problem:
        yield found(rules.TLS_NOT_TRUSTED, target, visible(answered.tls.problem))


def _of_walk(target: Target, met: Walk) -> Iterator[Finding]:
    if met.place is None or met.first is None:
        return
    reach = _reach(met.first.address)
    for path, location in met.redirects.items():
        url = f"{met.place.origin}{path}"
        if _leads_inward(url, location, met.place.host, reach):
            evidence = f"HTTP redirect to {clipped(shown(location))}"
            yield found(rules.REDIRECTS_INWARD, shown(url), evidence)
    for path, endpoint in met.elsewhere.items():
        url = shown(f"{met.place.origin}{path}")
        evidence = f"the `endpoint` event names {clipped(shown(endpoint))}"
        yield found(rules.ENDPOINT_ELSEWHERE, url, evidence)


def _leads_inward(url: str, location: str, host: str, reach: Reach) -> bool:
    try:
        parts = web_address(urljoin(url, location))
    except ValueError:
        return False
    there = "" if parts is None else parts.hostname or ""
    return there != host and leads_inward(there, reach)


def _reach(address: str) -> Reach:
    return reach_of(address.rpartition(":")[0].strip("[]"))
