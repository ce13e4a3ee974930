"""A worker process is started with nothing that its surroundings could slip in."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bascule.app.child import start_process

MARK = "import pathlib\npathlib.Path('taken').touch()\n"


def test_a_worker_imports_nothing_from_the_directory_it_is_started_in(
    tmp_path: Path,
) -> None:
    """`up` may be started in a folder of somebody else's: a checkout, /tmp."""
    for name in ("asyncio", "uvloop", "bascule"):
        (tmp_path / f"{name}.py").write_text(MARK)
    with contextlib.chdir(tmp_path):
        ours, process = start_process([])
    ours.close()  # it ends when its supervisor does
    process.wait(60)
    assert not (tmp_path / "taken").exists()
