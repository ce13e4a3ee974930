"""What is at one path: an MCP server, one that asks for a token first, or neither."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.protocol.message import (
    HEADER_MISMATCH,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
)
from bascule.scan.absent import takes_nothing
from bascule.scan.auth_state import Refusal, read_refusal
from bascule.scan.eras import Era, Outcome, Question, discover, initialize
from bascule.scan.exchange import WireError
from bascule.scan.greet import Greeted, greeting, server_info, spoken_versions
from bascule.scan.lists import Listed, read_lists
from bascule.scan.paths import STREAM_PATHS
from bascule.scan.probed import Identity
from bascule.scan.server import Auth, State
from bascule.scan.target import Target
from bascule.scan.wire import Answered, Place, Wire

_OWN_ERRORS = frozenset({HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION})
MAX_TEXT = 4000
"""Characters of instructions that are kept."""


@dataclass(slots=True)
class Sighting:
    """What one path came to."""

    path: str
    answers: list[tuple[Era, Outcome]] = field(default_factory=list)
    identity: Identity | None = None
    refusal: Refusal | None = None
    """Of whoever shows no token; also where nothing says that it is MCP."""
    listed: Listed = field(default_factory=Listed)
    endpoint_elsewhere: str = ""
    """Another origin, to which a stream sends messages."""

    def become_refused(self, target: Target, place: Place, *, auth: Auth) -> None:
        """Take the refusal for one of an MCP server, since something else says so."""
        era, outcome = self.answers[0]
        assert self.refusal is not None  # noqa: S101 - that is what was looked into
        self.refusal = replace(self.refusal, is_mcp=True, auth=auth)
        question = discover(self.path) if era == "modern" else initialize(self.path)
        self.identity = refused(
            target, place, self.path, question, outcome.answered, self.refusal
        )

    def become_open(
        self,
        target: Target,
        place: Place,
        era: Era,
        question: Question,
        answered: Answered,
        tools: tuple[dict[str, Any], ...],
    ) -> None:
        """Take it for open, since it lists to whom it does not greet."""
        challenges = () if self.refusal is None else self.refusal.challenges
        self.refusal = None
        self.listed = Listed(lists={question.method: tools}, first=question)
        self.identity = Identity(
            target=target,
            place=place,
            path=self.path,
            state="open",
            era=era,
            greeting=question,
            baseline=answered,
            lists=self.listed.lists,
            challenges=challenges,
            listing=question,
        )

    @property
    def odd(self) -> str:
        """Say what sounds like MCP without being enough: an error that only MCP has."""
        codes = (outcome.code for _, outcome in self.answers)
        code = next((it for it in codes if it in _OWN_ERRORS), None)
        return "" if code is None else f"it answers with JSON-RPC error {code} alone"

    @property
    def first(self) -> Answered:
        """What the first greeting came to."""
        return self.answers[0][1].answered


@asynccontextmanager
async def sighted(
    wire: Wire, target: Target, place: Place, path: str, *, thorough: bool
) -> AsyncGenerator[Sighting, None]:
    """Look at a path, and keep the conversation open for judges meanwhile.

    The newest era is tried first. One that answers with its lists ends the search; else the
    older ones are tried too, since the weakest way in counts. `thorough`: a path that was
    named, so that nothing is left untried. Raises `WireError` where the first greeting has
    no answer of HTTP.
    """
    seen = Sighting(path)
    async with AsyncExitStack() as stack:
        for era in _eras(seen, path, thorough=thorough):
            try:
                talk = greeting(wire, place, path, era)
                greeted = await stack.enter_async_context(talk)
            except WireError:
                if not seen.answers:
                    raise
                continue
            seen.answers.append((era, greeted.outcome))
            await _take(seen, target, place, greeted)
            if seen.identity is not None and seen.identity.state == "open":
                break
        yield seen


def _eras(seen: Sighting, path: str, *, thorough: bool) -> Iterator[Era]:
    """Give the eras to try, each in the light of what the one before came to."""
    yield "modern"
    if seen.answers and seen.first.endless:
        return  # it would take as long again
    named = thorough or seen.identity is not None
    if named or (seen.answers and _takes_messages(seen.answers[0][1])):
        yield "legacy"
    if seen.identity is None and (thorough or path in STREAM_PATHS):
        yield "sse"


def _takes_messages(outcome: Outcome) -> bool:
    """Tell whether an answer to a POST leaves it open that messages are taken there."""
    if outcome.is_rpc:
        return True
    status, kind = outcome.answered.status, outcome.answered.media_type
    refuses = 300 <= status < 400 or status == 401 or kind == "text/html"
    return not refuses and not takes_nothing(outcome)


async def _take(seen: Sighting, target: Target, place: Place, greeted: Greeted) -> None:
    """Keep what a greeting came to, if it says more than the ones before."""
    if greeted.endpoint and not greeted.message_path:
        seen.endpoint_elsewhere = greeted.endpoint
    if greeted.confirmed:
        listed = await read_lists(greeted)
        state = _state(listed)
        if seen.identity is None or state == "open" or seen.identity.era is None:
            seen.listed = listed
            seen.identity = _identity(target, place, seen.path, greeted, listed, state)
        return
    refusal = read_refusal(greeted.outcome)
    if refusal is None or seen.identity is not None:
        return
    if seen.refusal is None or refusal.is_mcp:
        seen.refusal = refusal
    if refusal.is_mcp:
        seen.identity = refused(
            target, place, seen.path, greeted.question, greeted.baseline, refusal
        )


def _state(listed: Listed) -> State:
    if listed.lists:
        return "open"
    return "unknown" if listed.failed else "discovery_open"


def _identity(
    target: Target,
    place: Place,
    path: str,
    greeted: Greeted,
    listed: Listed,
    state: State,
) -> Identity:
    info, result = server_info(greeted), greeted.outcome.result or {}
    capabilities = result.get("capabilities")
    session = greeted.session_id
    return Identity(
        target=target,
        place=place,
        path=path,
        state=state,
        era=greeted.era,
        greeting=greeted.question,
        baseline=greeted.baseline,
        versions=spoken_versions(greeted),
        name=_text(info.get("name")),
        version=_text(info.get("version")),
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        instructions=_text(result.get("instructions")),
        session_ids=() if session is None else (session,),
        lists=listed.lists,
        refused=listed.refused,
        listing=listed.first,
    )


def refused(
    target: Target,
    place: Place,
    path: str,
    question: Question,
    baseline: Answered,
    refusal: Refusal,
) -> Identity:
    """Give what is known of a server that asks for a token first."""
    return Identity(
        target=target,
        place=place,
        path=path,
        state=refusal.state,
        era=None,
        greeting=question,
        baseline=baseline,
        challenges=refusal.challenges,
    )


def _text(value: object) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""
