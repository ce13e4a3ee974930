"""The time until `initialize` is answered is that of a real server, or none is given."""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

import pytest

from bascule.bench import stdio_server
from bascule.bench.opened import bare_ms, locked_ms
from bascule.errors import BasculeError
from bascule.launch.start import Start, plain_start

SILENT = ("-c", "")
WRONG = ("-c", "print('{\"error\": {}}', flush=True); input()")
SERVER = ("-I", stdio_server.__file__)


def bare(words: tuple[str, ...], folder: Path) -> float:
    moments = count()
    return asyncio.run(
        bare_ms(lambda: float(next(moments)), (sys.executable, *words), {}, folder)
    )


def locked(words: tuple[str, ...], folder: Path) -> float:
    moments = count()

    async def prepare() -> Start:
        argv = (sys.executable, *words)
        return plain_start(sys.executable, argv, {"HOME": str(folder)})

    return asyncio.run(locked_ms(lambda: float(next(moments)), prepare))


def test_two_moments_are_compared(tmp_path: Path) -> None:
    assert bare(SERVER, tmp_path) == 1000
    assert locked(SERVER, tmp_path) == 1000


@pytest.mark.parametrize("words", [SILENT, WRONG])
@pytest.mark.parametrize("way", [bare, locked])
def test_what_does_not_answer_has_no_time(
    words: tuple[str, ...], way: object, tmp_path: Path
) -> None:
    assert callable(way)
    with pytest.raises(BasculeError, match=r"initialize|closed its output|has ended"):
        way(words, tmp_path)
