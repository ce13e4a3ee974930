"""What counts once, beside the records of the log: one commit notes both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from audit_logs import LogFolder
from bascule.audit.inbox import Inbox, Segment
from bascule.audit.once import KEEP_SECONDS, Once
from bascule.audit.openings import OpeningSealer
from bascule.audit.sequencer import chain_key
from bascule.audit.writer import Writer
from bascule.clock import system_clock, system_entropy

PROCESSES = 4


def proof(name: bytes = b"proof", age: int = 0) -> Callable[[], Once]:
    """Show the same proof as often as it is called for: its second is the one of now."""
    since = system_clock() - age
    return lambda: Once(name, since)


async def told(writer: Writer, leaf: bytes, shown: Once) -> bool:
    """Append and wait for what the callback is told."""
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    writer.append(leaf, answer.set_result, None, shown)
    return await answer


def run(log: LogFolder, inbox: Inbox, *attempts: tuple[bytes, Once]) -> list[bool]:
    """Hand in some at the same time, to a writer of its own."""

    async def go() -> list[bool]:
        writer = Writer(
            inbox,
            OpeningSealer(log.keys.openings, system_entropy),
            chain_key=chain_key(log.keys.signer),
            folder=log.folder,
            name="gateway",
            boot=system_entropy(8).hex(),
        )
        writer.start(asyncio.get_running_loop())
        try:
            return await asyncio.gather(*(told(writer, *it) for it in attempts))
        finally:
            writer.close()

    return asyncio.run(go())


def test_of_two_records_with_the_same_proof_the_first_is_kept(any_log: LogFolder) -> None:
    same, alone = proof(), proof(b"alone")
    first, second, other = same(), same(), proof(b"other")()
    with any_log.inbox() as inbox:
        found = run(any_log, inbox, (b"1", first), (b"2", second), (b"3", other))
        assert found == [True, False, True]
        assert [it.spent for it in (first, second, other)] == [False, True, False]
        assert run(any_log, inbox, (b"4", same()), (b"", alone())) == [False, True]
        assert run(any_log, inbox, (b"5", alone())) == [False]
    any_log.step()
    assert any_log.entries() == [b"1", b"3"]


def test_a_proof_of_another_second_is_another(any_log: LogFolder) -> None:
    """Its time is signed: who shows it again shows the same."""
    with any_log.inbox() as inbox:
        shown = (b"1", proof()()), (b"2", proof(age=60)())
        assert run(any_log, inbox, *shown) == [True, True]


def test_of_many_processes_one_is_first(any_log: LogFolder) -> None:
    """Each with many, in another order, so that none waits for another for ever."""
    shown = [proof(bytes([number]), age=9) for number in range(20)]
    inboxes = [any_log.place.inbox() for _ in range(PROCESSES)]
    start, found = threading.Barrier(PROCESSES), list[bool]()

    def process(number: int) -> None:
        mine = shown[number:] + shown[:number]
        start.wait()
        found.extend(run(any_log, inboxes[number], *((b"x", it()) for it in mine)))

    threads = [threading.Thread(target=process, args=(n,)) for n in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for inbox in inboxes:
        inbox.close()
    assert (len(found), sum(found)) == (PROCESSES * len(shown), len(shown))


def test_it_is_forgotten_when_it_is_too_old_to_be_shown(any_log: LogFolder) -> None:
    with any_log.inbox() as inbox:
        old = proof(b"old", KEEP_SECONDS + 5)
        young = proof(b"young", KEEP_SECONDS - 60)
        assert run(any_log, inbox, (b"1", old()), (b"2", young())) == [True, True]
        inbox.remove(inbox.read(0, 100)[-1][0])
        assert run(any_log, inbox, (b"3", old()), (b"4", young())) == [True, False]


def test_where_nothing_can_be_written_nothing_is_spent(any_log: LogFolder) -> None:
    with any_log.inbox() as inbox:

        class Broken:
            """An inbox whose commit fails."""

            def claim(
                self, onces: list[Once], segment: Callable[[], Segment | None]
            ) -> None:
                def fail() -> Segment | None:
                    segment()
                    raise OSError("disk")

                inbox.claim(onces, fail)

            def probe(self) -> None:
                """Say that nothing is wrong."""

        same = proof()
        shown = same()
        assert run(any_log, Broken(), (b"1", shown)) == [False]  # type: ignore[arg-type]
        assert not shown.spent
    with any_log.inbox() as inbox:
        assert run(any_log, inbox, (b"2", same())) == [True]
