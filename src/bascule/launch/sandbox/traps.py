"""Package managers of the system, replaced in a sandbox by files that tell when opened.

A server that installs code when it runs would be refused anyway: its tree is read-only, and
no registry can be reached. But it would see its package manager fail, which many do not
expect, while most can do without one. So each is replaced by a script whose interpreter
does not exist: to execute it is the same error as if it was not there, and the attempt is
seen from outside (`inotify(7)`).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.launch.command import LaunchError
from bascule.launch.sandbox.leftovers import left_behind, make_folder
from bascule.launch.sandbox.spec import SEARCHED

NAMES = (
    *("npm", "npx", "pnpm", "yarn", "corepack", "bun", "bunx"),
    *("pip", "pip3", "pipx", "uv", "uvx", "easy_install"),
)
_ABSENT = "#!/nonexistent\n"
_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")


@dataclass(slots=True)
class Traps:
    """Replacements for one start; `close` them."""

    folder: Path
    descriptor: int
    """To be read when it is readable."""
    names: dict[int, str]
    """By what `inotify` calls them."""
    places: dict[Path, Path]
    """What lies on the host, by what it replaces."""

    def sprung(self) -> Iterator[str]:
        """Give the names of those that were opened since."""
        try:
            events = os.read(self.descriptor, 1 << 16)
        except OSError:
            return
        at = 0
        while at < len(events):
            watch, _, _, length = _EVENT.unpack_from(events, at)
            at += _EVENT.size + length
            if watch in self.names:
                yield self.names[watch]

    def close(self) -> None:
        """Remove them."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        shutil.rmtree(self.folder, ignore_errors=True)


def set_traps(scratch: Path | None) -> Traps:
    """Make one for each package manager that a sandbox would show. Raises `LaunchError`."""
    try:
        if scratch is not None:
            scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in left_behind(scratch):
                shutil.rmtree(left, ignore_errors=True)
        folder = make_folder(scratch or Path(tempfile.gettempdir()))
    except OSError as exc:
        raise LaunchError(f"cannot write to `{scratch}`: {exc.strerror}") from exc
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    made = Traps(folder, descriptor, {}, {})
    for name, replaced in _managers():
        if replaced in made.places:
            continue  # two names of one file
        trap = folder / name
        trap.write_text(_ABSENT)
        trap.chmod(0o555)
        watch = libc.inotify_add_watch(descriptor, os.fsencode(trap), _IN_OPEN)
        made.names[watch] = name
        made.places[replaced] = trap
    if descriptor < 0 or -1 in made.names:
        made.close()
        raise LaunchError("`fs.inotify` limits of this user are used up: raise them")
    return made


def _managers() -> Iterator[tuple[str, Path]]:
    """Give what there is of them, and the file that is executed."""
    for name in NAMES:
        for folder in SEARCHED.split(":"):
            real = Path(folder, name).resolve()
            if real.is_file() and Path("/usr") in real.parents:
                yield name, real
                break
