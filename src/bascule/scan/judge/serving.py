"""How a server serves, whoever asks: TLS, versions, sessions, headers against the body."""

from __future__ import annotations

import re

from bascule.scan import eras
from bascule.scan.event_talk import event_talk
from bascule.scan.exchange import WireError
from bascule.scan.finding import found
from bascule.scan.judge.documents import clipped
from bascule.scan.judge.legs import (
    NEEDS_TOKEN,
    Verdict,
    gap,
    greet,
    had_answer,
    named,
)
from bascule.scan.judge.session_ids import SAMPLES, weakness
from bascule.scan.probed import Identity
from bascule.scan.rules import serving as rules
from bascule.scan.wire import Wire

_TELLING = ("server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version")
_VERSION = re.compile(r"[0-9]+\.[0-9]+")


async def judge_cleartext(_: Wire, identity: Identity) -> Verdict:
    """Judge whether others on the way can read along."""
    if identity.place.secure:
        return []
    seen = f"http, reached at {identity.baseline.address}"
    if identity.on_loopback:
        seen += ", which nobody on the network hears"
        return [found(rules.CLEARTEXT, named(identity), seen, severity="info")]
    return [found(rules.CLEARTEXT, named(identity), seen)]


async def judge_versions(_: Wire, identity: Identity) -> Verdict:
    """Judge what headers give away."""
    headers = identity.baseline.headers
    telling = [
        f"`{name}`: {clipped(value)}"
        for name, value in headers
        if name in _TELLING and _VERSION.search(value)
    ]
    if not telling:
        return []
    return [found(rules.VERSION_DISCLOSED, named(identity), ", ".join(telling[:4]))]


async def judge_mirrors(wire: Wire, identity: Identity) -> Verdict:
    """Judge what the server does when headers and body name different methods."""
    rule = rules.MISMATCH_TOLERATED
    if not had_answer(identity):
        return [gap(identity, rule, NEEDS_TOKEN)]
    if identity.era != "modern":
        return []
    leg = await greet(wire, identity, {"Mcp-Method": "tools/list"})
    if leg.outcome == "accepted":
        seen = "`Mcp-Method: tools/list` with `server/discover` in the body is answered"
        return [found(rule, named(identity), seen)]
    if leg.answered is not None and leg.answered.status == 400:
        return []
    return [gap(identity, rule, f"a mismatch gets: {leg.seen}")]


async def judge_sessions(wire: Wire, identity: Identity) -> Verdict:
    """Judge the ids of a few sessions, each ended at once."""
    rule = rules.WEAK_SESSIONS
    if not had_answer(identity):
        return [gap(identity, rule, NEEDS_TOKEN)]
    try:
        ids = await _ids(wire, identity)
    except WireError as exc:
        return [gap(identity, rule, f"no further session: {exc}")]
    why = weakness(ids)
    if why is not None:
        return [found(rule, named(identity), f"of {len(ids)} sessions: {why}")]
    if 0 < len(ids) < SAMPLES:
        return [gap(identity, rule, f"only {len(ids)} sessions were given")]
    return []


async def _ids(wire: Wire, identity: Identity) -> list[str]:
    """Begin sessions until there are enough; none where the server has none."""
    ids = list(identity.session_ids)
    if identity.era == "sse":
        return await _message_paths(wire, identity)
    while ids and len(ids) < SAMPLES:
        outcome = await eras.ask(wire, identity.place, identity.greeting)
        session = outcome.answered.header("mcp-session-id")
        if session is None:
            break
        ids.append(session)
        headers = eras.session_headers(outcome)
        await eras.end_session(wire, identity.place, identity.path, headers)
    return ids


async def _message_paths(wire: Wire, identity: Identity) -> list[str]:
    """Open streams of 2024-11-05: the session stands in the query that each one names."""
    paths = []
    for _ in range(SAMPLES):
        async with event_talk(wire, identity.place, identity.path) as talk:
            if "?" in talk.message_path:
                paths.append(talk.message_path)
    return paths
