"""What counts once counts once, whichever process it is shown to."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bascule.clock import UnixTime
from bascule.storage import used_assertions
from bascule.storage.store import Store
from postgres import OpenStore

NOW = UnixTime(1_900_000_000)


def use(store: Store, digest: bytes, *, now: int = NOW, expires_at: int = NOW + 60) -> bool:
    work = partial(
        used_assertions.use,
        digest=digest,
        expires_at=UnixTime(expires_at),
        now=UnixTime(now),
    )
    return store.run(work)


def test_of_all_who_show_it_at_once_one_is_heard(open_state: OpenStore) -> None:
    """Each store has connections of its own, as each process has."""
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(contextlib.closing(open_state())) for _ in range(2)]
        with ThreadPoolExecutor(8) as pool:
            for number in range(5):
                digest = bytes([number] * 32)
                tries = [pool.submit(use, stores[it % 2], digest) for it in range(8)]
                assert sum(it.result() for it in tries) == 1


def test_it_is_remembered_for_as_long_as_it_is_good(open_state: OpenStore) -> None:
    with contextlib.closing(open_state()) as store:
        assert use(store, b"a" * 32)
        assert use(store, b"b" * 32, now=NOW + 59)
        assert not use(store, b"a" * 32, now=NOW + 59)
        assert use(store, b"c" * 32, now=NOW + 120)  # what has ended goes with it
        assert use(store, b"a" * 32, now=NOW + 120)
