"""Runs a small program in a sandbox, as this user and as one without any rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = Path(__file__).with_name("boxed_host.py")
NOBODY = 65534
SECONDS = 60

# What a user has who is not root can differ from what root has: both are tried where both
# can be. A user without rights cannot try what root can.
WHO = ["root", "nobody"] if os.geteuid() == 0 else ["user"]


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    out: list[str]
    errors: str
    reached: list[dict[str, Any]]
    seconds: float
    sent: int = 0
    problem: str = ""
    """Why it was not run."""

    @property
    def json(self) -> Any:
        assert self.out, self.problem or self.errors
        return json.loads(self.out[-1])

    def refused(self) -> set[tuple[str, int]]:
        return {(it["host"], it["port"]) for it in self.reached if not it["allowed"]}

    def allowed(self) -> list[tuple[str, int]]:
        return [(it["host"], it["port"]) for it in self.reached if it["allowed"]]


@dataclass(frozen=True)
class Box:
    """A folder with a program's tree in it."""

    folder: Path
    who: str = WHO[0]
    backend: str = "bubblewrap"
    spec: dict[str, Any] = field(default_factory=dict)
    ambient: str = ""
    """A capability that who has no rights was given all the same, as services are."""

    def run(self, code: str, *arguments: str, **spec: Any) -> Ran:
        """Run a Python program under the options of a `SandboxSpec`."""
        tree = self.folder / "tree"
        tree.mkdir(exist_ok=True)
        (tree / "program.py").write_text(code)
        argv = ["python", "-I", "-S", "-u", str(tree / "program.py"), *arguments]
        return self.start(argv, tree=str(tree), **spec)

    def start(self, argv: list[str], **spec: Any) -> Ran:
        """Run any program."""
        wanted = {"backend": self.backend, "argv": argv, **self.spec, **spec}
        done = subprocess.run(
            [*self._command(), json.dumps(wanted)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
        )
        assert done.stdout, done.stderr
        return Ran(errors=done.stderr, **json.loads(done.stdout))

    def _command(self) -> list[str]:
        if self.who != "nobody":
            return [sys.executable, str(HOST)]
        # Files may lie where only root comes to: they are mounted where all do.
        self.folder.chmod(0o755)
        prefix = Path(sys.base_prefix)
        return [
            *("unshare", "--mount", "sh", "-ec", _AS_NOBODY, "sh"),
            *(str(prefix), _closed(prefix), str(self.folder), _closed(self.folder)),
            *(sysconfig.get_path("purelib"), str(HOST.parents[2])),
            *(str(NOBODY), f"bin/python{sys.version_info[0]}.{sys.version_info[1]}"),
            self.ambient,
        ]


def _closed(path: Path) -> str:
    """Give the outermost folder on the way that others cannot enter; empty for none."""
    way = [*reversed(path.parents), path]
    return next((str(it) for it in way if not it.stat().st_mode & 0o001), "")


def left_of(folder: Path) -> list[str]:
    """Give the command lines of processes that run something in this folder."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            line = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(os.fsdecode(line))
    return found


_AS_NOBODY = """
show() {  # FROM PATH CLOSED: mount it anew on its way, which is made one that all can go
    [ -n "$3" ] || return 0
    mountpoint -q "$3" || mount -t tmpfs -o mode=755 tmpfs "$3"
    mkdir -p "$2"
    mount --bind "$1" "$2"
}
mount -t tmpfs tmpfs /mnt
mkdir /mnt/python /mnt/folder /mnt/packages /mnt/project
mount --bind "$1" /mnt/python
mount --bind "$3" /mnt/folder
mount --bind "$5" /mnt/packages
mount --bind "$6" /mnt/project
show /mnt/python "$1" "$2"
show /mnt/folder "$3" "$4"
export PYTHONPATH=/mnt/project/src:/mnt/packages PYTHONDONTWRITEBYTECODE=1 HOME=/nonexistent
user=$7 python=$1/$8 more=${9:+--inh-caps=+$9 --ambient-caps=+$9}
shift 9
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs $more \\
    "$python" /mnt/project/tests/system/boxed_host.py "$@"
"""
