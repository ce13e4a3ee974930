"""The tutorial on least privilege: its commands run, and print what it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ports import free_ports

TUTORIAL = (
    Path(__file__).parents[2]
    / "docs"
    / "tutorials"
    / "from-allow-all-to-least-privilege.md"
).read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def does(folder: Path, script: str) -> str:
    """Give what a shell prints, for somebody in a folder."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(folder / "data"),
    }
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def stop(folder: Path) -> None:
    """End what the tutorial started, when it did not come to its end."""
    for name in ("up.pid", "desk.pid"):
        path = folder / name
        if path.exists() and Path(f"/proc/{path.read_text().strip()}").exists():
            os.kill(int(path.read_text()), signal.SIGTERM)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_tutorial_on_least_privilege_runs_and_shows_what_happens(
    tmp_path: Path,
) -> None:
    """With a real server, and a client on the official SDK."""
    text = TUTORIAL
    for port, free in zip(("8520", "8521", "8531"), free_ports(3), strict=True):
        text = text.replace(port, str(free))
    said = ""
    try:
        for language, block in BLOCK.findall(text):
            if language == "sh":
                said = does(tmp_path, block)
            elif language == "python":
                (tmp_path / "agent.py").write_text(block)
            else:
                assert [line for line in block.splitlines() if line not in said] == [], said
    finally:
        stop(tmp_path)
