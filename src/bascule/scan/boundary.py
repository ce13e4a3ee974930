"""Whether a connector keeps to its boundary, by what was tried and seen; no I/O.

Inward: its server must answer Bascule alone. Outward: it must reach nothing but what it
may. Each is `inside`, `outside` or `unknown`; nothing is inside that was not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from bascule.lock.invisible import visible
from bascule.scan.finding import Finding, found
from bascule.scan.report import Gap
from bascule.scan.rule import Severity
from bascule.scan.rules import boundary as rules
from bascule.scan.server import State

Verdict = Literal["inside", "outside", "unknown"]

ANSWERS: frozenset[State] = frozenset(("open", "garbage_accepted"))
"""It lists its tools for anybody."""
REFUSES: frozenset[State] = frozenset(
    ("discovery_open", "token_required", "forbidden", "mutual_tls", "token_in_url")
)
"""It is there, and lists nothing for who comes without the credential."""
ABSENT: frozenset[State] = frozenset(("unreachable", "not_mcp"))
"""Nothing of MCP is there for who comes from that side."""
MAX_SHOWN = 20
_SHOWN_CHARACTERS = 200


class Tried(Struct, frozen=True):
    """One way to the server that was tried, without a credential."""

    way: str
    """From where, in words: `loopback`, `eth0, 10.20.0.0/16`, `this machine`."""
    address: str
    """Where it led: `ADDRESS:PORT`."""
    beyond: bool
    """Others than programs of this machine come that way."""
    state: State
    why: str = ""
    """Why nothing is known, where that is so."""


class Listening(Struct, frozen=True):
    """A socket of a stdio server's process, and what answers on it."""

    address: str
    """`ADDRESS:PORT`, as it is bound."""
    beyond: bool
    state: State


class Outward(Struct, frozen=True, kw_only=True):
    """What is known of where a server reaches."""

    enclosed: bool
    """A sandbox keeps it to `may_reach`."""
    remote: bool = False
    """It runs elsewhere: what it reaches is not seen from here."""
    may_reach: tuple[str, ...] = ()
    refused: Mapping[str, int] = {}
    """What the sandbox refused, and when for the last time, in seconds since 1970."""
    named: tuple[tuple[str, str], ...] = ()
    """Tools, and hosts that their definitions name."""


class Judged(Struct, frozen=True, kw_only=True):
    """What came of one probe of one connector."""

    inward: Verdict
    outward: Verdict
    tried: tuple[Tried, ...] = ()
    listening: tuple[Listening, ...] = ()
    refused: Mapping[str, int] = {}
    findings: tuple[Finding, ...] = ()
    not_assessed: tuple[Gap, ...] = ()


def judge_remote(name: str, tried: Sequence[Tried], outward: Outward) -> Judged:
    """Judge a connector that has a URL."""
    inward, found_in, gaps = _inward(name, tried)
    out, found_out, more = _outward(name, outward)
    return Judged(
        inward=inward,
        outward=out,
        tried=tuple(tried),
        refused=dict(outward.refused),
        findings=(*found_in, *found_out),
        not_assessed=(*gaps, *more),
    )


def judge_stdio(
    name: str, listening: Sequence[Listening], problem: str, outward: Outward
) -> Judged:
    """Judge a connector that Bascule runs; `problem`: why its sockets are not known."""
    findings = [_listens(name, it) for it in listening]
    gaps = []
    inward: Verdict = "outside" if listening else "inside"
    if problem and not listening:
        inward = "unknown"
        gaps = [_gap(name, "whether its processes take connections", problem)]
    out, found_out, more = _outward(name, outward)
    return Judged(
        inward=inward,
        outward=out,
        listening=tuple(listening),
        refused=dict(outward.refused),
        findings=(*findings, *found_out),
        not_assessed=(*gaps, *more),
    )


def subject(name: str) -> str:
    """Give how findings call a connector."""
    return f"connectors.{name}"


def _inward(name: str, tried: Sequence[Tried]) -> tuple[Verdict, list[Finding], list[Gap]]:
    answered = [it for it in tried if it.state in ANSWERS]
    if answered:
        return "outside", [_bypass(name, answered)], _untold(name, tried)
    refused = any(it.state in REFUSES for it in tried)
    gaps = _untold(name, tried)
    if refused and not gaps:
        return "inside", [], []
    if not gaps:
        # It is not there for anybody, and so perhaps not there at all.
        why = next((it.why for it in tried if it.why), "no address could be tried")
        gaps = [_gap(name, "whether its server answers without Bascule", why)]
    return "unknown", [], gaps


def _untold(name: str, tried: Iterable[Tried]) -> list[Gap]:
    return [
        _gap(name, f"whether it answers at {it.address} ({it.way})", it.why)
        for it in tried
        if it.state not in ANSWERS | REFUSES | ABSENT
    ]


def _bypass(name: str, answered: Sequence[Tried]) -> Finding:
    ways = "; ".join(
        f"{it.address} ({it.way}){' takes any token' * (it.state == 'garbage_accepted')}"
        for it in answered[:MAX_SHOWN]
    )
    return found(
        rules.BYPASS,
        subject(name),
        f"lists its tools for who shows no credential: {ways}",
        severity="critical" if any(it.beyond for it in answered) else "high",
    )


def _listens(name: str, it: Listening) -> Finding:
    answers = it.state in ANSWERS
    speaks = "lists its tools there for anybody" if answers else f"there: {it.state}"
    severity: Severity = "critical" if it.beyond else "high"
    if not answers:
        severity = "medium"
    return found(
        rules.LISTENS,
        subject(name),
        f"listens at {it.address}; {speaks}",
        severity=severity,
    )


def _outward(name: str, it: Outward) -> tuple[Verdict, list[Finding], list[Gap]]:
    findings = [
        found(
            rules.REFUSED,
            subject(name),
            f"wanted to reach {_shown(place)}; the sandbox refused",
            key=place,
        )
        for place in sorted(it.refused)[:MAX_SHOWN]
    ]
    allowed = {place.rpartition(":")[0].strip("[]").lower() for place in it.may_reach}
    findings += [
        found(
            rules.NAMES_HOST,
            subject(name),
            f"tool `{_shown(tool)}` names {_shown(host)}",
            key=f"{tool} {host}",
        )
        for tool, host in it.named[:MAX_SHOWN]
        if (it.enclosed or it.may_reach) and host not in allowed
    ]
    if it.enclosed:
        return "inside", findings, []
    why = (
        "it runs elsewhere, and nothing here sees what it reaches"
        if it.remote
        else "no sandbox encloses it: lock it, and have it approved"
    )
    return "unknown", findings, [_gap(name, "what it reaches", why)]


def _shown(text: str) -> str:
    return visible(text)[:_SHOWN_CHARACTERS]


def _gap(name: str, what: str, why: str) -> Gap:
    return Gap(target=subject(name), what=what, why=why or "it did not answer")
