"""What a server lists to whom it does not know: tools, resources, prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bascule.protocol.message import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
)
from bascule.scan.eras import LISTS, Outcome, Question
from bascule.scan.exchange import WireError
from bascule.scan.greet import Greeted

MAX_PAGES = 20
MAX_ENTRIES = 10_000
MAX_BYTES = 8 << 20
"""Of all lists of a server together."""
NO_SUCH_METHOD = "it has no such method"
_OF_FORM = frozenset({HEADER_MISMATCH, UNSUPPORTED_VERSION})
"""Errors about how it was asked, which say nothing of who may ask."""
_MEMBER = {"tools/list": "tools", "resources/list": "resources", "prompts/list": "prompts"}


@dataclass(slots=True)
class Listed:
    """The lists of one server."""

    lists: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """By method: entries, also none."""
    refused: dict[str, str] = field(default_factory=dict)
    """By method: why there is no list, in words."""
    failed: bool = False
    """A list had no whole answer, so that nobody knows whether it is closed."""
    unfinished: dict[str, str] = field(default_factory=dict)
    """By method: why there may be more entries."""
    bytes: int = 0
    """What they took on the wire."""
    first: Question | None = None
    """What was asked for the first list that came."""


async def read_lists(greeted: Greeted) -> Listed:
    """Ask for all lists, whether or not a session came and whatever is declared.

    Servers without sessions send no session id, and some declare nothing. Raises nothing.
    """
    found = Listed()
    numbers = count(2)
    for method in LISTS:
        if found.bytes > MAX_BYTES:
            found.unfinished[method] = f"its lists are larger than {MAX_BYTES} bytes"
        else:
            await _read(greeted, method, numbers, found)
    return found


async def _read(greeted: Greeted, method: str, numbers: count[int], found: Listed) -> None:
    entries: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        question = greeted.question_of(next(numbers), method, params)
        try:
            outcome = await greeted.ask(question)
        except WireError as exc:
            found.failed = True
            _stop(found, method, str(exc), begun=method in found.lists)
            return
        page = None if outcome.result is None else outcome.result.get(_MEMBER[method])
        if not isinstance(page, list):
            found.failed |= bool(outcome.answered.cut) or outcome.code in _OF_FORM
            _stop(found, method, refusal(outcome), begun=method in found.lists)
            return
        entries += [it for it in page if isinstance(it, dict)]
        found.bytes += len(outcome.answered.body)
        found.lists[method] = tuple(entries)
        found.first = found.first or question
        cursor = (outcome.result or {}).get("nextCursor")
        if not isinstance(cursor, str):
            return
        if len(entries) > MAX_ENTRIES or found.bytes > MAX_BYTES:
            break
        params = {"cursor": cursor}
    found.unfinished[method] = f"there is more after {len(entries)} entries"


def _stop(found: Listed, method: str, why: str, *, begun: bool) -> None:
    (found.unfinished if begun else found.refused)[method] = why


def refusal(outcome: Outcome) -> str:
    """Say in a few words why a request had no result."""
    if outcome.code == METHOD_NOT_FOUND:
        return NO_SUCH_METHOD
    if outcome.answered.cut:
        return outcome.answered.cut
    code = "" if outcome.code is None else f", JSON-RPC error {outcome.code}"
    return f"HTTP {outcome.answered.status}{code}"
