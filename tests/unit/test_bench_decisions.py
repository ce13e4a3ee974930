"""What decisions cost is measured on decisions that come out as they should."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from bascule.bench.decisions import FEW, MANY, _call, _require, _snapshot, decisions
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, Maybe
from bascule.errors import BasculeError


def test_each_reading_of_the_clock_counts(tmp_path: Path) -> None:
    ticks = count()
    cost = decisions(
        lambda: float(next(ticks)), tmp_path, many=80, tools=60, runs=10, users=5
    )
    assert (cost.reload_ms, cost.first_list_ms, cost.diff_s) == (1000, 1000, 1)
    assert (cost.asked_us, cost.asked_of_many_us, cost.closable_us) == (1e6, 1e6, 1e6)
    assert cost.remembered_us == cost.beside_rules_us == 1e6 / 100
    assert cost.bounded_us == 1e6 / 100


@pytest.mark.parametrize("policies", [FEW, MANY])
def test_there_are_as_many_policies_as_is_said(policies: int) -> None:
    assert len(_snapshot(policies).standing.by_id) == policies


def test_rules_are_about_other_tools() -> None:
    ruled = _snapshot(FEW, ruled=True)
    assert isinstance(decide(_call("again"), ruled), Allowed)
    asked = decide(_call("ruled_1"), ruled)
    assert not isinstance(asked, Maybe)
    assert not isinstance(asked, Allowed)
    concern = ruled.concerns.of("c0", "tool", "out")
    assert concern is not None
    assert concern.asks


def test_a_call_that_came_out_wrong_is_no_figure() -> None:
    with pytest.raises(BasculeError):
        _require(met=False)
