"""The cost of the gate is measured on what passes it."""

from __future__ import annotations

from itertools import count

from bascule.bench.gate import NAME, _definition, gate_cost
from bascule.lock.definition import definition_digest, parse_definition


def test_each_reading_of_the_clock_counts() -> None:
    ticks = count()
    cost = gate_cost(lambda: float(next(ticks)), tools=3, size=900, runs=100)
    assert (cost.first_list_ms, cost.list_ms, cost.call_us) == (1000, 1000, 0)


def test_the_list_is_of_the_size_that_is_said() -> None:
    item = bytes(_definition(1, 1500))
    assert len(item) == 1500
    assert parse_definition(item)["name"] == NAME
    assert definition_digest(item)
