"""Bounded, by the probes that are kept: whether anything is reached around Bascule."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.app.boundaries import Standing
from bascule.app.posture.control import Control, Subject
from bascule.scan.boundary import ANSWERS, Judged

REACH = Subject(
    "bounded",
    "reach",
    "nothing is reached around the bridge",
    "each connector's server, asked without a credential by `bascule up`",
    "let the server demand a credential that Bascule alone has, or bind it where nobody "
    "else is: docs/how-to/bound-a-connector.md",
)
_START = "run `bascule up`: it probes all connectors when it starts"


def reach_control(standings: Mapping[str, Standing] | None, minutes: int) -> Control:
    """Judge by how each connector stands; met only where all were seen to be inside.

    `standings`: None where there is no state; `minutes`: `boundary.every_minutes`.
    """
    if standings is None:
        return REACH.unseen("`bascule up` has not run here yet", _START)
    if not standings:
        return REACH.unseen("there are no connectors yet")
    outside = [_seen(it) for it in standings.values() if it.inward == "outside"]
    if outside:
        return REACH.judged(outside)
    unknown = [it for it in standings.values() if it.inward == "unknown"]
    if not unknown:
        return REACH.judged(())
    if minutes == 0:
        why, fix = "`boundary.every_minutes` is 0: nobody probes", "set it to 10"
        return REACH.unseen(why, fix)
    return REACH.unseen("; ".join(map(_why, unknown)), _START)


def _seen(it: Standing) -> str:
    """Say from where it is reached."""
    evidence = [
        f"{finding.evidence} (seen from {place}){_since(judged)}"
        for place, judged in it.seen.items()
        if judged.inward == "outside"
        for finding in judged.findings
    ]
    return f"`{it.connector}`: {'; '.join(evidence)}"


def _since(judged: Judged) -> str:
    """Say why the last probe did not end a breach that it did not see."""
    gaps = judged.not_assessed
    if not gaps or judged.listening or any(it.state in ANSWERS for it in judged.tried):
        return ""
    return f"; whether that is over could not be told: {gaps[0].why}"


def _why(it: Standing) -> str:
    if it.checked_at is None:
        return f"`{it.connector}` was not probed lately"
    whys = dict.fromkeys(
        gap.why
        for judged in it.seen.values()
        if judged.inward == "unknown"
        for gap in judged.not_assessed[:1]
    )
    return f"`{it.connector}`: {', '.join(whys)}"
