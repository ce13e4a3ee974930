"""What a probe gives: who is there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.scan.eras import Era, Question
from bascule.scan.exchange import Failure
from bascule.scan.finding import Finding
from bascule.scan.report import Gap
from bascule.scan.server import Server, State
from bascule.scan.target import Target
from bascule.scan.wire import Answered, Place

Entries = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An MCP endpoint by its own words, heard without a credential.

    What judges need: `greeting` is what it was asked first, and `baseline` what came; the
    same question with another header or body is a leg, with this as its positive control.
    """

    target: Target
    place: Place
    path: str
    """Of the endpoint."""
    state: State
    era: Era | None
    """None where it asks for a token before it says anything of MCP."""
    greeting: Question
    """To send it again, use `greet.greeting`, which knows the eras."""
    baseline: Answered
    """For the era `sse` the head of the stream."""
    versions: tuple[str, ...] = ()
    """Revisions that it says to speak."""
    name: str = ""
    version: str = ""
    """Of the program, by its own word."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    session_ids: tuple[str, ...] = ()
    """As they came, for the judgement of their quality; they are ended, and not shown."""
    lists: Mapping[str, Entries] = field(default_factory=dict)
    """By method, `tools/list`: what it lists without a credential."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By method: why there is no list, in words."""
    challenges: tuple[str, ...] = ()
    """`WWW-Authenticate` of its refusal."""
    listing: Question | None = None
    """The first list that it gave without a credential, as it was asked for; its session
    is open as long as judges are at work."""

    @property
    def url(self) -> str:
        """The endpoint, for reports and for requests: it holds no secret."""
        return f"{self.place.origin}{self.path}"

    @property
    def on_loopback(self) -> bool:
        """Tell whether it was reached by loopback."""
        return self.baseline.address.startswith(("127.", "[::1]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What came of one target."""

    server: Server
    findings: tuple[Finding, ...] = ()
    not_assessed: tuple[Gap, ...] = ()
    identity: Identity | None = None
    """None where no MCP was found."""
    failure: Failure | None = None
    """Why there was no answer of HTTP at all, where there was none."""
    status: int = 0
    """Of the first answer, where no MCP was found; 0 without one."""
    others: tuple[Probed, ...] = ()
    """Further endpoints on the same port."""

    def each(self) -> Iterator[Probed]:
        """Give this and the others."""
        yield self
        yield from self.others
