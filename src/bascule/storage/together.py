"""Works that are asked for at the same time and share a transaction (group commit).

A transaction costs a turn of a thread, a connection, the writer's lock and, when it writes,
a sync of the disk: more than the few small statements in it. Who comes alone waits for
nobody; what comes while a transaction is under way makes up the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

T = TypeVar("T")
Work = Callable[[Connection], T]
MOST = 64
"""Works in one transaction: others wait for its end."""


class _Asked(NamedTuple):
    work: Work[Any]
    done: Future[Any]


class _Raised(NamedTuple):
    problem: Exception


class Together:
    """Does works one after another, in one thread; used by any thread and event loop."""

    def __init__(self, run: Callable[[Work[Any]], Any], *, writes: bool) -> None:
        """`run` does one work in a transaction, as `Store.read` and `Store.run` do."""
        self._run = run
        self._writes = writes
        self._waiting: deque[_Asked] = deque()
        name = "state-writes" if writes else "state-reads"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, work: Work[T]) -> T:
        """Do a work, with the meaning that it has alone: whole, after or before any other.

        What it raises undoes it and no other. It is done again when the transaction is.
        """
        done: Future[T] = Future()
        self._waiting.append(_Asked(work, done))
        self._thread.submit(self._do_waiting)
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Do what waits and end the thread."""
        self._thread.shutdown()

    def _do_waiting(self) -> None:
        """Do all that waits; it may be that an earlier turn took it along."""
        found = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        asked = [it for it in found if it.done.set_running_or_notify_cancel()]
        for it, outcome in zip(
            asked, self._outcomes([it.work for it in asked]), strict=True
        ):
            if isinstance(outcome, _Raised):
                it.done.set_exception(outcome.problem)
            else:
                it.done.set_result(outcome)

    def _outcomes(self, works: list[Work[Any]]) -> list[Any]:
        """Give what each gave or raised, once all that they did is durable."""
        if len(works) <= 1:
            return [self._alone(work) for work in works]
        do_each = partial(_each, works, _undoing if self._writes else _outcome)
        try:
            found = self._run(do_each)
        except Exception as exc:  # noqa: BLE001 - whatever it is: nothing was done
            return [_Raised(exc)] * len(works)
        return [
            self._alone(work) if _failed_at_database(outcome) else outcome
            for work, outcome in zip(works, found, strict=True)
        ]

    def _alone(self, work: Work[Any]) -> Any:
        try:
            return self._run(work)
        except Exception as exc:  # noqa: BLE001 - whose work it is gets it
            return _Raised(exc)


def _failed_at_database(outcome: object) -> bool:
    """Tell whether a work may have failed for the company that it was in."""
    return isinstance(outcome, _Raised) and isinstance(outcome.problem, DatabaseError)


def _each(
    works: list[Work[Any]],
    do: Callable[[Work[Any], Connection], Any],
    connection: Connection,
) -> list[Any]:
    return [do(work, connection) for work in works]


def _outcome(work: Work[Any], connection: Connection) -> Any:
    try:
        return work(connection)
    except Exception as exc:  # noqa: BLE001 - whose work it is gets it
        return _Raised(exc)


def _undoing(work: Work[Any], connection: Connection) -> Any:
    """Do a work so that it alone is undone when it fails."""
    connection.exec_driver_sql("SAVEPOINT part")
    outcome = _outcome(work, connection)
    if isinstance(outcome, _Raised):
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
    connection.exec_driver_sql("RELEASE SAVEPOINT part")
    return outcome
