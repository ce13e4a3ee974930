"""What is behind a refusal that does not say what it guards."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from bascule.protocol import legacy
from bascule.scan.eras import (
    POSTED,
    Era,
    Question,
    ask,
    discover,
    modern_question,
    read_object,
)
from bascule.scan.exchange import WireError
from bascule.scan.identify import Sighting, refused
from bascule.scan.judge.tokens import GARBAGE, let_in
from bascule.scan.paths import RESOURCE_METADATA
from bascule.scan.place import Answered, Place
from bascule.scan.target import Target
from bascule.scan.wire import Wire

TOOLS: Final = "tools/list"
_SPOKEN: Final = {**POSTED, "MCP-Protocol-Version": legacy.LATEST}


async def look_behind(wire: Wire, target: Target, place: Place, seen: Sighting) -> None:
    """Find out what refuses: a greeting alone, or all; and whether that is MCP.

    It lists to whom it does not greet, or its metadata say so, or a token of nobody opens
    it.
    """
    await _ask_for_tools(wire, target, place, seen)
    if seen.identity is None:
        await _read_metadata(wire, target, place, seen)
    if seen.identity is None:
        await _try_garbage(wire, target, place, seen)


async def _ask_for_tools(wire: Wire, target: Target, place: Place, seen: Sighting) -> None:
    """Ask for the tools without a token or a greeting, as who means harm does.

    A door that only the greeting has is none: some gateways ask for a token where a session
    begins, and nowhere else.
    """
    questions: tuple[tuple[Era, Question], ...] = (
        ("modern", modern_question(seen.path, TOOLS)),
        ("legacy", Question(seen.path, TOOLS, {}, _SPOKEN)),
    )
    for era, question in questions:
        with suppress(WireError):
            outcome = await ask(wire, place, question)
            tools = _tools(outcome.result)
            if tools:
                seen.become_open(target, place, era, question, outcome.answered, tools)
                return


def _tools(result: Mapping[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """Give the tools of a list that can be nothing else: all have a name and a schema."""
    tools = (result or {}).get("tools")
    if not isinstance(tools, list):
        return ()
    each = tuple(it for it in tools if isinstance(it, dict))
    told = all(isinstance(it.get("name"), str) and "inputSchema" in it for it in each)
    return each if told and len(each) == len(tools) else ()


async def _read_metadata(wire: Wire, target: Target, place: Place, seen: Sighting) -> None:
    """See whether the resource that refuses describes itself (RFC 9728 §3).

    It has to be about this very path: other resources of OAuth have such documents too.
    """
    suffix = seen.path if seen.path != "/" else ""
    for path in dict.fromkeys((RESOURCE_METADATA + suffix, RESOURCE_METADATA)):
        with suppress(WireError):
            answered = await wire.ask(place, "GET", path, {"Accept": "application/json"})
            if answered.status == 200 and _describes(answered, seen.path):
                seen.become_refused(target, place, auth="oauth")
                return


async def _try_garbage(wire: Wire, target: Target, place: Place, seen: Sighting) -> None:
    """See whether a token of nobody opens what refuses, and whether that is MCP.

    A refusal in anybody's words hides it, and who takes any token must not be overlooked.
    """
    assert seen.refusal is not None  # noqa: S101 - that is what is looked into
    if seen.refusal.state not in {"token_required", "forbidden"}:
        return
    question, baseline = discover(seen.path), seen.first
    behind = refused(target, place, seen.path, question, baseline, seen.refusal)
    leg = await let_in(wire, behind, GARBAGE)
    if leg.outcome == "accepted":
        seen.become_refused(target, place, auth=seen.refusal.auth or "bearer")


def _describes(answered: Answered, path: str) -> bool:
    document = read_object(answered.body) or {}
    resource = document.get("resource")
    if not isinstance(resource, str) or not document.get("authorization_servers"):
        return False
    with suppress(ValueError):
        return (urlsplit(resource).path or "/").rstrip("/") == path.rstrip("/")
    return False
