"""Cases of `policies/tests/*.toml`: who, through what, for which use, and what is expected.

[defaults]                  # of every case of the file, each of these keys
agent = "https://claude.example/client.json"

[[cases]]
name = "support reads tickets"
user = "alice"
groups = ["support"]
tool = "tickets/get_*"
expect = "allow"
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from bascule.config.shape import shape_problems
from bascule.config.table import Table
from bascule.decision.compile import BUILT_IN_AGENT
from bascule.decision.entries import TargetKind
from bascule.decision.facts import Reason
from bascule.decision.problems import Problem

Expected = Literal["allow", "deny", "maybe"]
KINDS: tuple[TargetKind, ...] = ("tool", "prompt", "resource")
_header = re.compile(r"\s*\[\[\s*cases\s*\]\]")


class Who(Table, frozen=True):
    """Who asks, in which circumstances."""

    user: str | None = None
    """`alice` or `user:alice`."""
    alone: bool = False
    """There is no user: the agent acts by itself."""
    groups: tuple[str, ...] = ()
    """`support` or `group:support`."""
    agent: str = BUILT_IN_AGENT
    """Its client id."""
    scopes: tuple[str, ...] | None = None
    """Of the token; absent: the built-in scope of the connector."""
    at: Annotated[datetime.datetime, Meta(tz=True)] | None = None
    """When; needed where the time decides."""
    touched: tuple[str, ...] = ()
    """Labels of what was touched before."""


class Case(Who, frozen=True, kw_only=True):
    """One expectation, of one use or of several alike."""

    expect: Expected
    name: str = ""
    tool: tuple[str, ...] = ()
    """`CONNECTOR/NAME`; `*` stands for any characters of approved names."""
    prompt: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()
    """`CONNECTOR/URI`."""
    arguments: dict[str, Any] | None = None
    """Of the call; absent: not known."""
    approved: bool = False
    """Somebody has approved just this call."""
    reason: Reason | None = None
    """Why it is denied."""
    policies: tuple[str, ...] = ()
    """Which must be among those that decide."""


class _File(Table, frozen=True):
    defaults: Who = field(default_factory=Who)
    cases: tuple[Case, ...] = ()


class PlacedCase(msgspec.Struct, frozen=True):
    """A case and where it stands."""

    file: str
    line: int
    case: Case

    @property
    def uses(self) -> Iterator[tuple[TargetKind, str]]:
        """Give what it is about: kind, and `CONNECTOR/NAME` as it is written."""
        case = self.case
        for kind, names in zip(KINDS, (case.tool, case.prompt, case.resource), strict=True):
            yield from ((kind, name) for name in names)


def read_cases(file: str, text: str) -> tuple[list[PlacedCase], list[Problem]]:
    """Read one file: its good cases, and everything that is wrong with it."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        return [], [Problem(file, 1, "error", f"not valid TOML: {exc}")]
    document = _with_defaults(document)
    lines = [n for n, line in enumerate(text.splitlines(), 1) if _header.match(line)]
    try:
        read = msgspec.convert(document, _File)
    except msgspec.ValidationError as exc:
        found = list(shape_problems(document, _File)) or [("", str(exc))]
        problems = [
            Problem(file, _line(lines, path), "error", f"{path}: {said}")
            for path, said in found
        ]
        return [], problems
    cases: list[PlacedCase] = []
    problems = []
    for at, case in enumerate(read.cases):
        line = lines[at] if at < len(lines) else 1
        cases.append(PlacedCase(file, line, case))
        complaint = _complaint(case)
        if complaint:
            problems.append(Problem(file, line, "error", complaint))
    return cases, problems


def _with_defaults(document: dict[str, Any]) -> dict[str, Any]:
    """Fill in what cases leave out, and let a single name stand for a list of it."""
    defaults, cases = document.get("defaults", {}), document.get("cases", [])
    if not isinstance(defaults, dict) or not isinstance(cases, list):
        return document
    return {**document, "cases": [_filled(case, defaults) for case in cases]}


def _filled(case: Any, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(case, dict):
        return case
    # Whoever says one of the two takes the other back.
    other = {"user": "alone", "alone": "user"}
    taken_back = {other[key] for key in case if key in other}
    kept = {key: value for key, value in defaults.items() if key not in taken_back}
    full = {**kept, **case}
    names = {it: [full[it]] for it in KINDS if isinstance(full.get(it), str)}
    return {**full, **names}


def _line(lines: list[int], path: str) -> int:
    place = re.match(r"cases\[(\d+)\]", path)
    number = int(place[1]) if place else -1
    return lines[number] if 0 <= number < len(lines) else 1


def _complaint(case: Case) -> str:
    """Say why a case says nothing; empty when it does."""
    if (case.user is None) != case.alone:
        return "names no one `user`: or say `alone = true` for the agent by itself"
    if sum(map(bool, (case.tool, case.prompt, case.resource))) != 1:
        return "is about one of `tool`, `prompt` and `resource`"
    names = (*case.tool, *case.prompt, *case.resource)
    wrong = next((it for it in names if not all(it.partition("/"))), None)
    if wrong is not None:
        return f"`{wrong}` is not of the form `CONNECTOR/NAME`"
    if (case.approved or case.touched) and case.arguments is None:
        return "`approved` and `touched` are of a call: say its `arguments` too"
    if case.expect != "deny" and case.reason is not None:
        return "`reason` is that of a denial"
    return ""
