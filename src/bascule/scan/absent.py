"""Which paths of a port plainly hold nothing of MCP, found in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bascule.scan.asked import Asked
from bascule.scan.burst import burst
from bascule.scan.eras import Outcome, discover, read_outcome
from bascule.scan.paths import MESSAGE_PATHS, STREAM_PATHS, WELL_KNOWN, hints
from bascule.scan.place import Answered, Place
from bascule.scan.wire import Wire

NO_POST = frozenset({404, 405, 410, 501})
"""Statuses of a path that takes no message."""


async def absent(
    wire: Wire, place: Place, paths: Iterable[str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Give the paths that are plainly not there, and more paths that the site names.

    For places on this machine alone; of all that is not plain nothing is said.
    """
    # What may have no end or no answer comes last: whatever follows it has none either.
    last = [_greeting(path) for path in paths if path in MESSAGE_PATHS]
    posts = [_greeting(path) for path in paths if path not in MESSAGE_PATHS]
    gets = [
        Asked("GET", path, {"Accept": "text/event-stream, application/json, text/html"})
        for path in (*WELL_KNOWN, *reversed(STREAM_PATHS))
    ]
    asked = [*posts, *gets, *last]
    answers = await burst(wire, place, asked)
    posted = _by_path("POST", asked, answers)
    got = _by_path("GET", asked, answers)
    gone = frozenset(
        path
        for path, answered in posted.items()
        if takes_nothing(read_outcome(answered, 1))
        and (path not in STREAM_PATHS or (path in got and _is_no_stream(got[path])))
    )
    named = (it for path, answered in got.items() for it in hints(place, path, answered))
    return gone, tuple(dict.fromkeys(named))


def takes_nothing(outcome: Outcome) -> bool:
    """Tell whether a POST came to a place that takes no messages at all."""
    answered = outcome.answered
    if outcome.is_rpc:
        return False
    page = answered.status == 200 and answered.media_type == "text/html"
    return page or answered.status in NO_POST


def _is_no_stream(answered: Answered) -> bool:
    return answered.status in NO_POST or answered.media_type == "text/html"


def _greeting(path: str) -> Asked:
    question = discover(path)
    return Asked("POST", path, question.headers, question.body)


def _by_path(
    method: str, asked: Sequence[Asked], answers: Sequence[Answered | None]
) -> dict[str, Answered]:
    pairs = zip(asked, answers, strict=True)
    return {
        it.path: answered
        for it, answered in pairs
        if answered is not None and it.method == method
    }
