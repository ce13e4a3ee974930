"""Whether a server looks at the tokens that it asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64encode

from bascule.clock import UnixTime
from bascule.scan.eras import Era
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding, found
from bascule.scan.greet import greeting
from bascule.scan.judge.legs import Leg, Verdict, gap, leg_of, named
from bascule.scan.probed import Identity
from bascule.scan.rule import Rule, Severity
from bascule.scan.rules import identity as rules
from bascule.scan.wire import Wire

AUDIENCE = "urn:bascule:probe"
"""Names no resource: a token for it is good nowhere."""
ISSUER = "https://issuer.bascule-probe.invalid"
GARBAGE = "bascule-probe-is-no-token"
SECONDS = 60

ERAS: tuple[Era, ...] = ("modern", "legacy", "sse")
"""Where it is not known: a server that asks for a token first does not say."""

UNAUTHORIZED = frozenset({401, 403})
"""Statuses that say: not with this token (RFC 6750 §3.1)."""

_ASKED = frozenset({"token_required", "forbidden", "discovery_open", "garbage_accepted"})


async def judge_tokens(wire: Wire, identity: Identity) -> Verdict:
    """Try tokens that nobody issued, each only where the one before was refused.

    They prove nothing but themselves: a server that takes one verifies no signature, and
    one that takes none may still take real tokens that are for others.
    """
    if identity.state not in _ASKED:
        return []
    leg = await let_in(wire, identity, GARBAGE)
    if leg.outcome == "accepted":
        seen = f"the tools come for `Bearer {GARBAGE}`, and not without a token"
        return [_found(rules.GARBAGE_BEARER, identity, seen)]
    if leg.outcome == "unclear":
        return [gap(identity, rules.GARBAGE_BEARER, f"`Bearer {GARBAGE}` gets: {leg.seen}")]
    now = UnixTime(wire.clock() // 1_000_000)
    for kind, token in (
        ("signed by a key of nobody", foreign_token(now)),
        ("without a signature (`alg`: `none`)", unsigned_token(now)),
    ):
        leg = await let_in(wire, identity, token)
        if leg.outcome == "accepted":
            seen = f"a token of issuer `{ISSUER}` for `{AUDIENCE}`, {kind}, is let in"
            return [_found(rules.UNVERIFIED_TOKEN, identity, seen)]
    why = "a real token of the server's own issuer, for another resource, would be needed"
    what = "whether tokens for other resources are accepted"
    return [gap(identity, rules.UNVERIFIED_TOKEN, why, what=what)]


async def let_in(wire: Wire, identity: Identity, token: str) -> Leg:
    """Ask for the tools with a token, in each era that the server may speak.

    Accepted in one is enough; refused means that one of them said so, and none accepted.
    """
    legs = []
    for era in ERAS if identity.era is None else (identity.era,):
        leg = await _list(wire, identity, era, {"Authorization": f"Bearer {token}"})
        if leg.outcome == "accepted":
            return leg
        legs.append(leg)
    return next((it for it in legs if it.outcome == "refused"), legs[0])


async def _list(
    wire: Wire, identity: Identity, era: Era, headers: Mapping[str, str]
) -> Leg:
    """Greet, and ask for the tools: only a list tells that the token opened anything."""
    try:
        async with greeting(wire, identity.place, identity.path, era, headers) as greeted:
            if not greeted.confirmed:
                return leg_of(greeted.outcome, accepted=False, refusals=UNAUTHORIZED)
            outcome = await greeted.ask(greeted.question_of(2, "tools/list", {}))
    except WireError as exc:
        return Leg("unclear", f"no answer: {exc}")
    listed = isinstance((outcome.result or {}).get("tools"), list)
    return leg_of(outcome, accepted=listed, refusals=UNAUTHORIZED)


def foreign_token(now: UnixTime) -> str:
    """Make an access token that is right in all but who signed it, and for whom it is."""
    key = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "at+jwt", "kid": key.thumbprint()}
    return jws.serialize_compact(header, _claims(now), key, algorithms=["ES256"])


def unsigned_token(now: UnixTime) -> str:
    """Make the same without a signature (RFC 7519 §6)."""
    header = msgspec.json.encode({"alg": "none", "typ": "at+jwt"})
    return b".".join(map(urlsafe_b64encode, (header, _claims(now), b""))).decode()


def _claims(now: UnixTime) -> bytes:
    return msgspec.json.encode(
        {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "bascule-probe",
            "client_id": "bascule-probe",
            "scope": "",
            "jti": f"bascule-probe-{now}",
            "iat": now,
            "exp": now + SECONDS,
        }
    )


def _found(rule: Rule, identity: Identity, seen: str) -> Finding:
    severity: Severity = "high" if identity.on_loopback else "critical"
    return found(rule, named(identity), seen, severity=severity)
