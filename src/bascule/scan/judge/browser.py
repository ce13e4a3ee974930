"""What web pages can do through a visitor's browser: Origin, Host, CORS, plain requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import msgspec

from bascule.scan import eras
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding, found
from bascule.scan.interfaces import reach_of
from bascule.scan.judge.legs import (
    NEEDS_TOKEN,
    Leg,
    Verdict,
    answers_as_before,
    gap,
    greet,
    had_answer,
    named,
)
from bascule.scan.place import Answered
from bascule.scan.probed import Identity
from bascule.scan.rule import Severity
from bascule.scan.rules import browser as rules
from bascule.scan.wire import Wire

NOBODY = "rebind-probe.invalid"
"""A name that nobody can have (RFC 6761 §6.4): it is nowhere on a list of allowed ones."""
STRANGER = f"https://{NOBODY}"
"""The origin of a page there."""


Legs = Mapping[str, Leg]
"""By the `Origin` that they were sent with."""


async def judge_browser(wire: Wire, identity: Identity) -> Verdict:
    """Judge all that has to do with browsers, each leg sent once."""
    legs = await _foreign(wire, identity)
    verdict = await _judge_origin(wire, identity, legs)
    verdict += await _judge_host(wire, identity)
    if not await answers_as_before(wire, identity):
        why = "after a few of the requests it refuses everything, so no refusal tells why"
        seen = [it for it in verdict if isinstance(it, Finding)]
        return [*seen, *(gap(identity, it, why) for it in rules.RULES)]
    verdict += await _judge_cors(wire, identity, legs[STRANGER])
    if identity.state == "open" and identity.era != "sse":
        verdict += await _judge_plain_text(wire, identity)
        verdict += await _judge_get(wire, identity)
    return verdict


async def _foreign(wire: Wire, identity: Identity) -> Legs:
    """Greet from origins that are not the server's, the stranger's first."""
    origins = [STRANGER]
    if had_answer(identity):
        scheme = identity.place.origin.partition(":")[0]
        origins += ["null", f"{scheme}://{_lookalike(identity)}"]
    return {it: await greet(wire, identity, {"Origin": it}) for it in origins}


def _lookalike(identity: Identity) -> str:
    """Give a name of nobody that lists let in which compare beginnings."""
    host = "localhost" if ":" in identity.place.host else identity.place.host
    return f"{host}.{NOBODY}"


async def _judge_origin(wire: Wire, identity: Identity, legs: Legs) -> Verdict:
    rule = rules.ORIGIN_NOT_CHECKED
    accepted = [it for it, leg in legs.items() if leg.outcome == "accepted"]
    if accepted:
        shown = " and ".join(f"`Origin: {it}`" for it in accepted)
        seen = f"answered with {shown} as it is without an Origin"
        return [found(rule, named(identity), seen)]
    unclear = [it for it, leg in legs.items() if leg.outcome == "unclear"]
    if not unclear:
        return []
    if not had_answer(identity):
        return [gap(identity, rule, NEEDS_TOKEN)]
    # Not 403: only what it says to its own origin tells what the refusal is about.
    own = await greet(wire, identity, {"Origin": identity.place.origin})
    if own.outcome == "accepted":
        return []
    seen = legs[unclear[0]].seen
    why = f"`Origin: {unclear[0]}` and its own origin both get: {seen}"
    return [gap(identity, rule, why)]


async def _judge_host(wire: Wire, identity: Identity) -> Verdict:
    """Judge what DNS rebinding does: Host and Origin of one foreign name at once.

    Over TLS the browser sees that the certificate is not for that name.
    """
    rule, place = rules.HOST_NOT_CHECKED, identity.place
    if place.secure:
        return []
    host = replace(place, host=NOBODY).authority
    rebound = await _rebound(wire, identity, host)
    if not had_answer(identity):
        clear = rebound.outcome == "refused"
        return [] if clear else [gap(identity, rule, NEEDS_TOKEN)]
    if rebound.outcome != "accepted":
        other = replace(place, host=_lookalike(identity)).authority
        leg = await _rebound(wire, identity, other)
        host, rebound = (other, leg) if leg.outcome == "accepted" else (host, rebound)
    if rebound.outcome == "accepted":
        seen = f"answered with `Host: {host}` and `Origin: http://{host}` as without"
        return [_of_host(identity, seen, rule.severity)]
    bare = await greet(wire, identity, {"Host": host})
    if bare.outcome == "accepted":
        seen = f"answered with `Host: {host}`; only an Origin beside it is refused"
        return [_of_host(identity, seen, "medium")]
    unclear = next((it for it in (rebound, bare) if it.outcome == "unclear"), None)
    if unclear is None:
        return []
    return [gap(identity, rule, f"`Host: {host}` gets: {unclear.seen}, not 421 or 403")]


def _of_host(identity: Identity, seen: str, severity: Severity) -> Finding:
    """Weigh it: at a public address a page does nothing that its owner could not."""
    address = identity.baseline.address.rpartition(":")[0].strip("[]")
    weighed = "low" if reach_of(address) == "public" else severity
    return found(rules.HOST_NOT_CHECKED, named(identity), seen, severity=weighed)


async def _rebound(wire: Wire, identity: Identity, host: str) -> Leg:
    """Greet as a page does whose own name points to the server."""
    return await greet(wire, identity, {"Host": host, "Origin": f"http://{host}"})


async def _judge_cors(wire: Wire, identity: Identity, leg: Leg) -> Verdict:
    if leg.outcome == "refused":
        return []
    asked = {
        "Origin": STRANGER,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(sorted(_needed(identity))),
    }
    try:
        preflight = await wire.ask(identity.place, "OPTIONS", identity.path, asked)
    except WireError as exc:
        return [gap(identity, rules.CORS_ANY_ORIGIN, f"no answer to OPTIONS: {exc}")]
    allowed = preflight.header("access-control-allow-origin")
    shown = f"`Access-Control-Allow-Origin: {'*' if allowed == '*' else STRANGER}`"
    with_cookies = preflight.header("access-control-allow-credentials") == "true"
    if allowed == STRANGER and with_cookies:
        seen = f"OPTIONS from `{STRANGER}` is answered with {shown} and credentials"
        return [found(rules.CORS_CREDENTIALS, named(identity), seen)]
    if (
        identity.state == "open"
        and leg.outcome == "accepted"
        and leg.answered is not None
        and _may_send(preflight, _needed(identity))
        and _may_read(leg.answered, identity)
    ):
        seen = f"OPTIONS and the answer itself have {shown}"
        return [found(rules.CORS_ANY_ORIGIN, named(identity), seen)]
    return []


def _needed(identity: Identity) -> frozenset[str]:
    """Give the headers that a page must be allowed to send, to get a list."""
    if identity.era == "modern":
        return frozenset({"content-type", "mcp-protocol-version", "mcp-method"})
    session = {"mcp-session-id"} if identity.session_ids else set[str]()
    return frozenset({"content-type", *session})


def _may_send(preflight: Answered, needed: frozenset[str]) -> bool:
    """Tell whether a browser goes on after this preflight (Fetch, CORS-preflight fetch)."""
    allowed = _listed(preflight, "access-control-allow-headers")
    return (
        200 <= preflight.status < 300
        and preflight.header("access-control-allow-origin") in {"*", STRANGER}
        and ("*" in allowed or needed <= allowed)
    )


def _may_read(answered: Answered, identity: Identity) -> bool:
    """Tell whether a page reads the answer, and the session that it needs to go on."""
    exposed = _listed(answered, "access-control-expose-headers")
    readable = answered.header("access-control-allow-origin") in {"*", STRANGER}
    return readable and (
        not identity.session_ids or not exposed.isdisjoint({"*", "mcp-session-id"})
    )


def _listed(answered: Answered, header: str) -> frozenset[str]:
    values = ",".join(answered.every(header)).lower().split(",")
    return frozenset(it.strip() for it in values)


async def _judge_plain_text(wire: Wire, identity: Identity) -> Verdict:
    """Ask for the list as any page may without a preflight: safe headers alone."""
    headers = {
        "Content-Type": "text/plain",
        "Accept": "application/json, text/event-stream",
        "Origin": STRANGER,
    }
    question = replace(_list_question(identity), headers=headers)
    try:
        outcome = await eras.ask(wire, identity.place, question)
    except WireError as exc:
        return [gap(identity, rules.NO_PREFLIGHT_NEEDED, f"no answer: {exc}")]
    if not _is_list(outcome.result):
        return []
    seen = f"`tools/list` as text/plain from `{STRANGER}` is answered"
    return [found(rules.NO_PREFLIGHT_NEEDED, named(identity), seen)]


async def _judge_get(wire: Wire, identity: Identity) -> Verdict:
    question = _list_question(identity)
    params = quote(msgspec.json.encode(question.params).decode())
    query = f"jsonrpc=2.0&id=1&method=tools/list&params={params}"
    asked = {"Accept": "application/json"}  # browsers send no Origin with a link
    try:
        answered = await wire.ask(identity.place, "GET", f"{identity.path}?{query}", asked)
    except WireError as exc:
        return [gap(identity, rules.RUNS_GET, f"no answer: {exc}")]
    message = eras.read_object(answered.body) or {}
    result = message.get("result")
    if not _is_list(result if isinstance(result, dict) else None):
        return []
    return [
        found(rules.RUNS_GET, named(identity), "GET with `?method=tools/list` is answered")
    ]


def _list_question(identity: Identity) -> eras.Question:
    if identity.era == "modern":
        return eras.modern_question(identity.path, "tools/list")
    return eras.Question(identity.path, "tools/list", {}, eras.POSTED)


def _is_list(result: dict[str, object] | None) -> bool:
    return isinstance((result or {}).get("tools"), list)
