"""How long it takes to hash a tree before a start."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from bascule.lock.store import Store

FILES = 4000
BYTES = 25_000_000
RUNS = 15


def verification_ms(
    clock: Callable[[], float], *, files: int = FILES, size: int = BYTES, runs: int = RUNS
) -> float:
    """Give the median time, in milliseconds, in which a tree of that size is verified.

    The tree is made for it and lies in memory after the first look, as it does when a
    server is started again. `clock` gives seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as root:
        store = Store(Path(root) / "store")
        with store.fresh() as folder:
            fill(folder, files, size)
            tree = store.add(folder)
        times = []
        for _ in range(runs):
            before = clock()
            store.verify(tree)
            times.append((clock() - before) * 1000)
    return statistics.median(times)


def fill(folder: Path, files: int, size: int) -> None:
    """Make files as packages have them: forty in a folder, most small, some large."""
    # Of three files one has four times as much as the other two together.
    unit = size // (files // 3 * 6 + files % 3)
    for number in range(files):
        place = folder / f"package{number // 40}"
        place.mkdir(exist_ok=True)
        block = hashlib.sha256(str(number).encode()).digest()
        length = unit * (4 if number % 3 == 2 else 1)
        (place / f"file{number}.js").write_bytes((block * (length // 32 + 1))[:length])
