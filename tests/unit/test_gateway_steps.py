"""Coroutines that are advanced by whoever resolves what they wait for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from bascule.gateway.steps import Run, Step


@dataclass
class Ends:
    """Notes how runs end."""

    crashes: list[Exception] = field(default_factory=list)
    count: int = 0

    def crashed(self, problem: Exception) -> None:
        self.crashes.append(problem)

    def ended(self) -> None:
        self.count += 1


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def add(steps: list[Step[int]], sums: list[int]) -> None:
    total = 0
    for step in steps:
        total += await step
    sums.append(total)


def test_a_run_waits_for_one_step_after_another(ends: Ends) -> None:
    steps: list[Step[int]] = [Step() for _ in range(3)]
    sums: list[int] = []
    run = Run(add(steps, sums), ends)
    steps[1].resolve(20)
    for step, value in ((steps[0], 1), (steps[0], 1000), (steps[2], 300)):
        assert not run.finished
        step.resolve(value)
    assert run.finished
    assert (sums, ends.count, ends.crashes) == ([321], 1, [])


def test_a_step_that_fails_raises_where_it_is_awaited(ends: Ends) -> None:
    step: Step[int] = Step()
    Run(add([step], []), ends)
    step.fail(KeyError("gone"))
    step.resolve(1)
    assert [type(it) for it in ends.crashes] == [KeyError]
    assert ends.count == 1


def test_what_is_thrown_in_reaches_the_coroutine_and_the_step_no_more(ends: Ends) -> None:
    step: Step[int] = Step()
    run = Run(add([step], []), ends)
    run.throw(ValueError("interrupted"))
    step.resolve(1)
    run.throw(ValueError("too late"))
    assert [str(it) for it in ends.crashes] == ["interrupted"]
    assert ends.count == 1


def test_a_run_may_wait_for_a_future(ends: Ends) -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        sums: list[int] = []

        async def wait() -> None:
            sums.append(await future)

        run = Run(wait(), ends)
        future.set_result(5)
        await asyncio.sleep(0)
        assert run.finished
        assert sums == [5]

    asyncio.run(main())


@pytest.mark.usefixtures("no_collector")
def test_nothing_is_left_for_the_garbage_collector(ends: Ends) -> None:
    for _ in range(10):
        steps: list[Step[int]] = [Step(), Step()]
        run = Run(add(steps, []), ends)
        for step in steps:
            step.resolve(1)
        del steps, step, run
    assert ends.count == 10
    assert gc.collect() == 0
