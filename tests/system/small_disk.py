"""A server whose data directory fills up: python -m system.small_disk FOLDER PORT

To be run in a mount namespace of its own (`unshare --map-root-user --mount`): it puts a
small file system on FOLDER, which nobody else sees and which is gone with the process. It
prints what it found as one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from patience import until
from system.recorder import Recorder
from system.server import Installation, install

MIB = 1 << 20
DISK_MIB = 96
"""Calls are refused below 64 MiB, so there is room for a start and some calls."""


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for so many bytes."""
    filler = folder / "filler"
    disk = os.statvfs(folder)
    # The server writes meanwhile, so there may be less room than was seen.
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        for _ in range(disk.f_bavail - leave // disk.f_frsize):
            file.write(bytes(disk.f_frsize))
    return filler


def answers(own: Installation, token: str) -> tuple[int, int]:
    """Give the statuses of a call and of a list."""
    return own.tool(token, "echo").status, own.call(token, "tools/list").status


def main(folder: Path, port: int) -> dict[str, Any]:
    """Fill the disk step by step and look what the server answers."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "none", folder]
    subprocess.run(mount, check=True)
    own = install(folder, Recorder(port=port))
    own.start()
    found: dict[str, Any] = {}
    try:
        token = own.token()
        found["roomy"] = answers(own, token)
        filler = fill(folder, 32 * MIB)
        until(lambda: own.tool(token, "echo").status == 503)
        found["narrow"] = answers(own, token)
        found["ready"] = own.send(b"", {}, path="/readyz", verb="GET").status
        fill(folder, 0)
        found["full"] = answers(own, token)
        filler.unlink()
        until(lambda: own.tool(token, "echo").status == 200)
        found["roomy again"] = answers(own, token)
        fill(folder, 0)
        until(lambda: own.tool(token, "echo").status == 503)
        own.kill()
        found["start on a full disk"] = own.run_up().returncode
        filler.unlink()
        own.start()
        found["started again"] = answers(own, own.token())
        found["exit"] = own.stop()
        verified = own.ask("audit", "verify")
        found["verified"] = [verified["ok"], verified["problems"]]
        rows = own.records("--name", "echo")
        found["records"] = len([row for row in rows if row["decision"] == "allow"])
    finally:
        own.kill()
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
