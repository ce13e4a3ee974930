"""A disk that fills up: calls are refused, nothing goes upstream, and it ends well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from system.recorder import Recorder

TESTS = Path(__file__).parents[1]


def test_a_full_disk_refuses_calls_until_there_is_room_again(
    tmp_path: Path, recorder: Recorder
) -> None:
    recorder.take()
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-m"]
    ended = subprocess.run(
        [*command, "system.small_disk", tmp_path, str(recorder.port)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    received = [it.message["method"] for it in recorder.take()]
    assert received.count("tools/list") == 3
    assert found == {
        "roomy": [200, 200],
        "narrow": [503, 503],
        "ready": 503,
        "full": [503, 503],
        "roomy again": [200, 200],
        "start on a full disk": 3,
        "started again": [200, 200],
        "exit": 0,
        "verified": [True, []],
        "records": received.count("tools/call"),
    }
