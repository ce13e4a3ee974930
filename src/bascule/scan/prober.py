"""One prober for all: who is at a target, and how does it stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from bascule.net.addresses import literal
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding
from bascule.scan.identify import Sighting
from bascule.scan.judge import JUDGES, Judge
from bascule.scan.judge.products import inspector
from bascule.scan.probed import Probed
from bascule.scan.report import Gap
from bascule.scan.scope import OutOfScopeError
from bascule.scan.summary import described, judged, summed_up, unknown
from bascule.scan.target import Target, shown
from bascule.scan.walk import Walk, walk
from bascule.scan.wire import Wire

TARGET_SECONDS = 60.0
"""For everything at one target, judges included."""


async def probe(
    wire: Wire,
    target: Target,
    judges: Sequence[Judge] | None = None,
    *,
    seconds: float = TARGET_SECONDS,
) -> Probed:
    """Find out what is at a target, and judge it: by all judges, unless some are named.

    No tool is called, and no credential sent. Whatever the target does, it raises nothing:
    what cannot be told is in `not_assessed`. A server on loopback that refuses an address
    is asked by name too: some know `localhost` alone.
    """
    found = await _once(wire, target, JUDGES if judges is None else judges, seconds)
    refuses = found.failure is None and found.status in {403, 421}
    if not (refuses and found.identity is None and _is_loopback_literal(target.host)):
        return found
    by_name = replace(target, host="localhost", addresses=_addresses(target))
    named = await _once(wire, by_name, JUDGES if judges is None else judges, seconds)
    if named.identity is None:
        return found
    url = shown(f"{target.origin}{named.identity.path}")
    return replace(named, server=structs.replace(named.server, url=url))


def _is_loopback_literal(host: str) -> bool:
    address = literal(host)
    return address is not None and address.is_loopback


def _addresses(target: Target) -> tuple[str, ...]:
    return target.addresses or (target.host,)


async def _once(
    wire: Wire, target: Target, judges: Sequence[Judge], seconds: float
) -> Probed:
    met, probed, ended = Walk(), list[Probed](), ""
    tools: list[Finding | Gap] = []

    async def visit(seen: Sighting) -> None:
        assert seen.identity is not None  # noqa: S101 - only those are visited
        probed.append(described(seen, seen.identity))
        for judge in judges:
            number = len(probed) - 1
            results = await _ask(judge, wire, seen)
            probed[number] = judged(probed[number], results)

    try:
        async with asyncio.timeout(seconds):
            await walk(wire, target, met, visit)
            if met.first is not None and met.place is not None and not probed:
                tools += await inspector(wire, met.place)
    except OutOfScopeError as exc:
        return unknown(target, str(exc))
    except TimeoutError:
        ended = f"it took longer than {seconds:g} s"
    finally:
        if met.place is not None:
            wire.forget(met.place)
    return judged(summed_up(target, met, probed, ended), tools)


async def _ask(judge: Judge, wire: Wire, seen: Sighting) -> list[Finding | Gap]:
    """Ask one judge; a server that stops to answer meanwhile costs its verdict alone."""
    assert seen.identity is not None  # noqa: S101 - only those are visited
    try:
        return list(await judge(wire, seen.identity))
    except (WireError, OutOfScopeError) as exc:
        what = (judge.__doc__ or judge.__name__).partition("\n")[0].rstrip(".")
        return [Gap(target=seen.identity.url, what=what, why=str(exc))]
