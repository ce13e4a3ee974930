"""Coroutines without tasks: the data path reads top to bottom and costs a callback.

An asyncio task and future for each request cost about a fifth of a whole call. Here a
coroutine is advanced by whoever resolves the step it waits for. It may also wait for an
asyncio future, for instance of work in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Step(Generic[T]):
    """Something that happens once; awaited by at most one coroutine."""

    __slots__ = ("_error", "_value", "_waiter", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiter: Run | None = None

    def resolve(self, value: T) -> None:
        """Give the value and run the waiting coroutine on; later calls do nothing."""
        if self.done:
            return
        self.done = True
        self._value = value
        waiter, self._waiter = self._waiter, None  # or they would keep each other alive
        if waiter is not None:
            waiter.go_on()

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the waiting coroutine; later calls do nothing."""
        if self.done:
            return
        self.done = True
        self._error = error
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.go_on()

    def when_done(self, waiter: Run | None) -> None:
        """Let `waiter` go on once this is done; None takes that back."""
        self._waiter = waiter

    def __await__(self) -> Generator[Step[T], None, T]:
        """Wait without a task."""
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Owner(Protocol):
    """Who is told of a run's end."""

    def crashed(self, problem: Exception) -> None:
        """Get an exception that the coroutine did not handle; `ended` follows."""

    def ended(self) -> None:
        """The run is over, either way."""


class Run:
    """One coroutine on its way."""

    __slots__ = ("_coroutine", "_owner", "_waiting", "finished")

    def __init__(self, coroutine: Coroutine[Any, None, None], owner: Owner) -> None:
        """Start it: runs until the first thing that is not there yet."""
        self._coroutine = coroutine
        self._owner = owner
        self._waiting: object = None
        self.finished = False
        self.go_on()

    def throw(self, error: Exception) -> None:
        """Raise `error` where the coroutine waits; nothing if it is over."""
        if self.finished:
            return
        waiting, self._waiting = self._waiting, None
        if isinstance(waiting, Step):
            waiting.when_done(None)
        self._step(self._coroutine.throw, error)

    def go_on(self) -> None:
        """Run on, until the next thing that is not there yet."""
        self._step(self._coroutine.send, None)

    def _step(self, resume: Callable[[Any], object], value: Exception | None) -> None:
        try:
            waited = resume(value)
        except StopIteration:
            self.finished = True
            self._owner.ended()
        except Exception as exc:  # noqa: BLE001 - the one place that catches what is a bug
            self.finished = True
            self._owner.crashed(exc)
            self._owner.ended()
        else:
            self._waiting = waited
            if isinstance(waited, Step):
                waited.when_done(self)
            else:
                self._wait_for(waited)

    def _wait_for(self, waited: object) -> None:
        if not isinstance(waited, asyncio.Future):
            raise TypeError(f"cannot wait for {type(waited).__name__} on the data path")
        waited._asyncio_future_blocking = False
        waited.add_done_callback(self._future_done)

    def _future_done(self, future: asyncio.Future[Any]) -> None:
        if self._waiting is future:
            self._waiting = None
            self.go_on()


def next_turn() -> Step[None]:
    """Let the event loop serve others."""
    step: Step[None] = Step()
    asyncio.get_running_loop().call_soon(step.resolve, None)
    return step
