"""Greeting a server in one of the eras, and telling MCP from what only looks like it.

Confirmed is a conjunction alone: revision, capabilities and the program's name together, or
their like of 2026-07-28. JSON-RPC is spoken by many who are no MCP servers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from bascule.protocol import legacy, modern
from bascule.protocol.message import UNSUPPORTED_VERSION
from bascule.scan.eras import (
    Era,
    Outcome,
    Question,
    ask,
    discover,
    end_session,
    initialize,
    modern_question,
    session_headers,
    tell,
)
from bascule.scan.event_talk import event_talk
from bascule.scan.wire import Answered, Place, Wire

_HANDSHAKE = (*legacy.SUPPORTED[1:], "2024-11-05")
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

Ask = Callable[[Question], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Greeted:
    """What a greeting came to; as long as it stands, more can be asked."""

    era: Era
    question: Question
    outcome: Outcome
    baseline: Answered
    """The same as the outcome's, but in the era `sse` the head of the stream."""
    ask: Ask
    message_path: str = ""
    """In the era `sse`: where messages go."""
    endpoint: str = ""
    """In the era `sse`: what the server named for that."""

    @property
    def confirmed(self) -> bool:
        """Tell whether an MCP server has said what it is."""
        return confirms(self.era, self.outcome)

    @property
    def session_id(self) -> str | None:
        """The session that began, where one did."""
        return self.outcome.answered.header("mcp-session-id")

    def question_of(self, number: int, method: str, params: Mapping[str, Any]) -> Question:
        """Make a further request as this server wants it."""
        if self.era == "modern":
            made = modern_question(self.question.path, method, params)
        else:
            headers = session_headers(self.outcome)
            made = Question(self.question.path, method, dict(params), headers)
        given = {
            name: value
            for name, value in self.question.headers.items()
            if name.lower() in {"host", "origin", "authorization"}
        }
        return replace(made.with_headers(given), id=number)


@asynccontextmanager
async def greeting(
    wire: Wire,
    place: Place,
    path: str,
    era: Era,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[Greeted, None]:
    """Greet, and keep the conversation open meanwhile; a session is ended after it.

    `headers` come on every request, in place of the usual ones. Raises `WireError`.
    """
    more = headers or {}

    async def at_place(question: Question) -> Outcome:
        return await ask(wire, place, question)

    if era == "sse":
        async with event_talk(wire, place, path, more) as talk:
            question = initialize(talk.message_path or path, "2024-11-05").with_headers(
                more
            )
            outcome = Outcome(talk.head)
            if talk.message_path:
                outcome = await talk.ask(question)
            greeted = Greeted(
                era,
                question,
                outcome,
                talk.head,
                talk.ask,
                talk.message_path,
                talk.endpoint,
            )
            await _begin(wire, place, greeted)
            yield greeted
        return
    first = discover(path) if era == "modern" else initialize(path)
    question = first.with_headers(more)
    outcome = await at_place(question)
    if era == "legacy" and (older := _older_version(outcome)):
        question = initialize(path, older).with_headers(more)
        outcome = await at_place(question)
    greeted = Greeted(era, question, outcome, outcome.answered, at_place)
    await _begin(wire, place, greeted)
    try:
        yield greeted
    finally:
        if era == "legacy" and outcome.result is not None:
            kept = {**session_headers(outcome), **more}
            await end_session(wire, place, path, kept)


async def _begin(wire: Wire, place: Place, greeted: Greeted) -> None:
    """Say that the handshake is over, where there is one."""
    if greeted.era != "modern" and greeted.confirmed:
        question = greeted.question_of(0, "notifications/initialized", {})
        await tell(wire, place, question.path, question.method, question.headers)


def confirms(era: Era, outcome: Outcome) -> bool:
    """Tell whether an answer to a greeting is one of MCP, by several marks together."""
    if era == "modern":
        return _discovered(outcome.result) or bool(offered_versions(outcome))
    result = outcome.result or {}
    return (
        isinstance(result.get("protocolVersion"), str)
        and isinstance(result.get("capabilities"), dict)
        and isinstance(result.get("serverInfo"), dict)
    )


def offered_versions(outcome: Outcome) -> tuple[str, ...]:
    """Give the revisions that a refusal of ours offers (MCP 2026-07-28: -32022)."""
    data = (outcome.error or {}).get("data")
    if outcome.code != UNSUPPORTED_VERSION or not isinstance(data, dict):
        return ()
    return strings(data.get("supported"))


def _older_version(outcome: Outcome) -> str:
    """Give the newest revision that a refusal of ours offers, of those with a handshake."""
    data = (outcome.error or {}).get("data")
    offered = strings(data.get("supported")) if isinstance(data, dict) else ()
    return next((it for it in _HANDSHAKE if it in offered), "")


def spoken_versions(greeted: Greeted) -> tuple[str, ...]:
    """Give the revisions that a server says to speak."""
    result = greeted.outcome.result or {}
    if greeted.era == "modern":
        return strings(result.get("supportedVersions")) or offered_versions(greeted.outcome)
    spoken = result.get("protocolVersion")
    return (spoken,) if isinstance(spoken, str) else ()


def server_info(greeted: Greeted) -> Mapping[str, Any]:
    """Give what a server says of its program."""
    result = greeted.outcome.result or {}
    meta = result.get(modern.META)
    said = result.get("serverInfo")
    if greeted.era == "modern" and isinstance(meta, dict):
        said = meta.get(SERVER_INFO, said)
    return said if isinstance(said, dict) else {}


def strings(value: Any) -> tuple[str, ...]:
    """Give the strings of a list that somebody else wrote, the first ones of many."""
    if not isinstance(value, list):
        return ()
    return tuple(it[:64] for it in value[:20] if isinstance(it, str))


def _discovered(result: Mapping[str, Any] | None) -> bool:
    return (
        result is not None
        and bool(strings(result.get("supportedVersions")))
        and isinstance(result.get("capabilities"), dict)
    )
