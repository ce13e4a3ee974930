"""Failed authentications: each is recorded or counted, whatever their number."""

from __future__ import annotations

from bascule.gateway.failures import (
    MAX_RECORDS,
    MAX_SOURCES,
    OTHERS,
    WINDOW_SECONDS,
    AuthFailures,
)


class Minute:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_of_a_source_is_recorded_and_the_rest_counted() -> None:
    clock = Minute()
    failures = AuthFailures(600, now=clock)
    assert [failures.count("a")[0] for _ in range(3)] == [True, False, False]
    assert failures.count("b")[0]
    assert failures.unrecorded() is None
    clock.now = WINDOW_SECONDS
    assert failures.unrecorded() == {"a": 2}
    assert failures.count("a")[0], "each minute begins anew"


def test_what_is_beyond_the_limit_is_too_many() -> None:
    failures = AuthFailures(2)
    assert [failures.count("a")[1] for _ in range(4)] == [False, False, True, True]
    assert failures.count("b")[1] is False


def test_of_very_many_sources_none_is_forgotten() -> None:
    clock = Minute()
    failures = AuthFailures(10**9, now=clock)
    total = MAX_SOURCES + 50
    recorded = sum(failures.count(f"source {it}")[0] for it in range(total))
    assert recorded == MAX_RECORDS
    clock.now = WINDOW_SECONDS
    counted = failures.unrecorded()
    assert counted is not None
    assert len(counted) <= MAX_SOURCES + 1
    assert counted[OTHERS] == 50
    assert recorded + sum(counted.values()) == total
