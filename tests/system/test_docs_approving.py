"""The tutorial on approving: its commands run, and print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = (
    Path(__file__).parents[2] / "docs" / "tutorials" / "approve-your-first-server.md"
).read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def does(folder: Path, script: str) -> str:
    """Give what a shell prints on standard output, for somebody in a folder."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(folder / "data"),
    }
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_on_approving_runs_and_shows_what_happens(tmp_path: Path) -> None:
    """With the real server, from the registry."""
    said = ""
    shown = []
    for language, text in BLOCK.findall(TUTORIAL):
        if language == "sh":
            said = does(tmp_path, text)
            shown.append(said)
        else:
            missing = [line for line in text.splitlines() if line not in said]
            assert missing == []
    for word in ("not yet", "drifted", "revoked"):
        assert f"\n{word}\n" in "\n".join(shown)
    assert "\n".join(shown).count("clock: ok, approved") == 2
