"""Whether anything is reached around Bascule: met only where probes saw that it is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bascule.app.boundaries import Standing
from bascule.app.posture.boundaries import reach_control
from bascule.app.posture.control import State
from bascule.clock import UnixTime
from bascule.scan.boundary import Judged, Tried, Verdict
from bascule.scan.finding import found
from bascule.scan.report import Gap
from bascule.scan.rules.boundary import BYPASS
from bascule.scan.server import State as ServerState


def standing(name: str, inward: Verdict, why: str = "") -> Standing:
    gaps = (Gap(target=name, what="it", why=why),) if why else ()
    evidence = "lists its tools for who shows no credential: 192.0.2.1:80 (eth0)"
    seen = Judged(
        inward=inward,
        outward="unknown",
        findings=(found(BYPASS, name, evidence),) if inward == "outside" else (),
        not_assessed=gaps,
    )
    return Standing(name, inward, "unknown", {"host-a": seen}, UnixTime(1))


@pytest.mark.parametrize(
    ("standings", "state", "said"),
    [
        (None, "not_assessed", "has not run"),
        ((), "not_assessed", "no connectors"),
        ((standing("desk", "inside"), standing("time", "inside")), "met", ""),
        (
            (standing("desk", "inside"), standing("time", "outside")),
            "not_met",
            "`time`: lists its tools for who shows no credential: 192.0.2.1:80 (eth0) "
            "(seen from host-a)",
        ),
        (
            (standing("desk", "inside"), standing("time", "unknown", "nobody listens")),
            "not_assessed",
            "`time`: nobody listens",
        ),
        (
            (standing("desk", "unknown", "x"), standing("time", "outside")),
            "not_met",
            "`time`",
        ),
    ],
)
def test_nothing_is_reached_around_it_only_where_probes_saw_that(
    standings: tuple[Standing, ...] | None, state: State, said: str
) -> None:
    by_name = None if standings is None else {it.connector: it for it in standings}
    control = reach_control(by_name, 10)
    assert control.state == state
    assert said in "".join(control.evidence)
    assert bool(control.fix) == (state != "met" and standings != ())


@pytest.mark.parametrize(
    ("seen", "held"), [("open", False), ("garbage_accepted", False), ("unknown", True)]
)
def test_a_breach_that_is_no_longer_seen_says_why_it_still_counts(
    seen: ServerState, held: bool
) -> None:
    before = standing("desk", "outside", "the vantage point does not answer")
    way = Tried(way="eth0", address="192.0.2.1:80", beyond=True, state=seen)
    judged = replace(before.seen["host-a"], tried=(way,))
    after = Standing("desk", "outside", "unknown", {"host-a": judged}, UnixTime(1))
    (evidence,) = reach_control({"desk": after}, 10).evidence
    why = "whether that is over could not be told: the vantage point does not answer"
    assert (why in evidence) == held


def test_what_is_never_probed_says_how_it_would_be() -> None:
    unknown = {"desk": standing("desk", "unknown")}
    control = reach_control(unknown, 0)
    assert control.state == "not_assessed"
    assert "every_minutes" in control.evidence[0]
    unprobed = {"desk": Standing("desk", "unknown", "unknown", {}, None)}
    assert reach_control(unprobed, 10).evidence == ("`desk` was not probed lately",)
