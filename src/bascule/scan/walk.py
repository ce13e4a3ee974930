"""Looking for MCP on one port: which scheme it speaks, and on which paths it answers.

What is no HTTP is left at once, and what is no MCP costs a short walk over one connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bascule.scan.absent import absent
from bascule.scan.auth_state import Refusal
from bascule.scan.behind import look_behind
from bascule.scan.exchange import WireError
from bascule.scan.identify import Sighting, sighted
from bascule.scan.paths import (
    NOWHERE,
    PATHS,
    STREAM_PATHS,
    WELL_KNOWN,
    hints,
)
from bascule.scan.target import Target
from bascule.scan.wire import Answered, Place, Wire

MAX_SILENCES = 2
"""Paths without a whole answer, after which no more are tried."""
MAX_PATHS = 40
"""Of one port: a site may name ever new ones."""
MAX_ENDPOINTS = 8
"""Of one port."""

Visit = Callable[[Sighting], Awaitable[None]]
"""Is called for each endpoint, while the conversation with it is open."""

_TLS_ALERT = b"\x15\x03"
_WANTS_TLS = (b"HTTPS", b"https port", b"TLS")
"""How servers say, in the clear and with status 400, that they speak TLS."""


@dataclass(slots=True)
class Walk:
    """What was met on one port."""

    place: Place | None = None
    """Where it answers; None until it does."""
    sightings: list[Sighting] = field(default_factory=list)
    """Of endpoints that are MCP, or may be."""
    refused: Refusal | None = None
    """The first refusal that does not say whether it is MCP, at the named path if any."""
    refused_status: int = 0
    first: Answered | None = None
    problem: WireError | None = None
    """Why there is no answer of HTTP at all."""
    any_path: bool = False
    """One server takes every path for its endpoint, so that no more are tried."""
    stopped: str = ""
    """Why not every path was tried."""
    cuts: int = 0
    """Paths whose first answer had no end, in bytes or in time."""
    odd: str = ""
    """What sounds like MCP at the named path, and is not enough to tell."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path → where it sends its callers; of paths that send them to one, the first."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Path → the other origin to which a stream sends messages."""


async def walk(wire: Wire, target: Target, met: Walk, visit: Visit) -> None:
    """Look at a port, writing into `met` what is found as it is found.

    Raises `OutOfScopeError`. Where a path is named and MCP is there, no other is tried.
    """
    named = target.path or PATHS[0]
    try:
        more = await _first(wire, target, named, met, visit)
    except WireError as exc:
        met.problem = exc
        return
    if target.path is not None and (met.sightings or met.refused is not None):
        return
    if met.first is not None and met.first.endless:
        met.stopped = f"at {named}, {met.first.cut}"
        return
    await _others(wire, target, [named, *more], met, visit)


async def _first(
    wire: Wire, target: Target, path: str, met: Walk, visit: Visit
) -> tuple[str, ...]:
    """Try the first path, and find the scheme by it; gives more paths that are named.

    Raises `WireError`.
    """
    place = await wire.place(target)
    try:
        more = await _at(wire, target, place, path, met, visit)
    except WireError as exc:
        if target.secure is not None or not _may_be_tls(exc):
            raise
        secured = await wire.place(target, secure=True)
        try:
            return await _at(wire, target, secured, path, met, visit)
        except WireError as other:
            raise (other if other.failure == "client_certificate" else exc) from other
    if target.secure is not None or met.first is None or not _says_tls(met.first):
        return more
    wire.forget(place)
    met.first = None
    return await _at(wire, target, await wire.place(target, secure=True), path, met, visit)


async def _others(
    wire: Wire, target: Target, first: Sequence[str], met: Walk, visit: Visit
) -> None:
    """Try the usual paths and those that are named; the first one was tried before."""
    if met.place is None or met.first is None:
        return
    usual = STREAM_PATHS if met.first.status == 501 else PATHS  # 501: it knows no POST
    gone, documented = await _short_cut(wire, met.place, usual)
    left = (it for it in usual if it not in gone)
    waiting = [*first[1:], *target.hints, *left, *documented]
    silences, tried = 0, {first[0]}
    while waiting and not met.any_path and len(met.sightings) < MAX_ENDPOINTS:
        path = waiting.pop(0)
        if path in tried or path in _message_paths(met):
            continue
        if len(tried) >= MAX_PATHS:
            met.stopped = f"{MAX_PATHS} paths were tried, and the site names more"
            return
        tried.add(path)
        begun = met.cuts
        try:
            waiting += await _at(wire, target, met.place, path, met, visit)
            problem = "" if met.cuts == begun else "the answers do not end"
        except WireError as exc:
            problem = str(exc)
        silences += bool(problem)
        if silences >= MAX_SILENCES:
            met.stopped = f"at {path}, {problem}"
            return


def _message_paths(met: Walk) -> set[str]:
    """Give where servers of 2024-11-05 that were found take messages: parts of them."""
    found = (it.identity for it in met.sightings)
    return {
        it.greeting.path.partition("?")[0]
        for it in found
        if it is not None and it.era == "sse"
    }


async def _at(
    wire: Wire, target: Target, place: Place, path: str, met: Walk, visit: Visit
) -> tuple[str, ...]:
    """Look at one path; gives more paths that its answers name. Raises `WireError`."""
    thorough = path == target.path or path in target.hints
    async with sighted(wire, target, place, path, thorough=thorough) as seen:
        met.place = place
        met.first = met.first or seen.first
        met.cuts += seen.first.endless
        first_refusal = seen.refusal is not None and met.refused is None
        if first_refusal and (seen.identity is None or seen.identity.era is None):
            await look_behind(wire, target, place, seen)
        if seen.endpoint_elsewhere:
            met.elsewhere[path] = seen.endpoint_elsewhere
        location = seen.first.header("location")
        redirects = 300 <= seen.first.status < 400 and location is not None
        if redirects and location not in met.redirects.values():
            met.redirects[path] = str(location)
        if seen.identity is not None:
            if met.sightings and await _takes_any_path(wire, target, place):
                met.any_path = True
                return ()
            met.sightings.append(seen)
            await visit(seen)
        elif seen.refusal is not None and met.refused is None:
            met.refused, met.refused_status = seen.refusal, _refusing_status(seen)
        elif thorough:
            met.odd = met.odd or seen.odd
        answers = (outcome.answered for _, outcome in seen.answers)
        return tuple(it for each in answers for it in hints(place, path, each))


def _refusing_status(seen: Sighting) -> int:
    """Give the status of the answer that refuses; nginx says 400 for a certificate."""
    statuses = [outcome.answered.status for _, outcome in seen.answers]
    return next((it for it in statuses if it in {401, 403}), statuses[0])


async def _takes_any_path(wire: Wire, target: Target, place: Place) -> bool:
    """Tell whether a path that nobody has serves MCP too."""
    with suppress(WireError):
        async with sighted(wire, target, place, NOWHERE, thorough=False) as seen:
            return seen.identity is not None
    return False


async def _short_cut(
    wire: Wire, place: Place, paths: Sequence[str]
) -> tuple[frozenset[str], Sequence[str]]:
    """Give the paths that need no look, and the ones that the site itself names."""
    if all(wire.scope.is_free(it) for it in place.addresses):
        return await absent(wire, place, paths)
    found: list[str] = []
    for path in WELL_KNOWN:
        with suppress(WireError):
            answered = await wire.ask(place, "GET", path, {"Accept": "application/json"})
            found += hints(place, path, answered)
    return frozenset(), found


def _may_be_tls(problem: WireError) -> bool:
    """Tell whether what failed in the clear may be a port that speaks TLS."""
    if problem.failure == "not_http":
        return problem.seen.startswith(_TLS_ALERT)
    return problem.failure == "closed"


def _says_tls(answered: Answered) -> bool:
    return answered.status == 400 and any(it in answered.body for it in _WANTS_TLS)
