"""What a locked launch adds to the plain execution of the same program."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from bascule.app.approval_keys import own_key
from bascule.app.approving import Desk, Wish, decide_on
from bascule.app.enclosure import spec_of
from bascule.app.files import data_directory
from bascule.app.lock_place import LockPlace
from bascule.app.locked_launch import LockedLaunch
from bascule.app.locking import draft, write
from bascule.app.place import Place
from bascule.app.stdio import command_of
from bascule.bench import stdio_server, verification
from bascule.bench.opened import bare_ms, locked_ms
from bascule.clock import system_clock, system_entropy
from bascule.config.load import load
from bascule.errors import BasculeError
from bascule.launch.command import operator_environment
from bascule.launch.sandbox.backend import report_nothing
from bascule.launch.sandbox.bubblewrap import Bubblewrap
from bascule.launch.start import Start

NAME = "bench"
RUNS = 5


class NotMeasuredError(BasculeError):
    """It cannot be measured on this machine; the message says what it lacks."""


class Launch(Struct, frozen=True):
    """Milliseconds until `initialize` is answered; medians."""

    bare_ms: float
    """The locked argv, executed as it is."""
    locked_ms: float
    """Approval, settings and interpreter looked at, every file hashed, in a sandbox."""
    added_ms: float
    files: int
    """Of the tree that is hashed each time."""
    bytes: int


def launch(
    clock: Callable[[], float],
    folder: Path,
    *,
    files: int = verification.FILES,
    size: int = verification.BYTES,
    runs: int = RUNS,
) -> Launch:
    """Lock and approve a server of our own below `folder`, and start it both ways in turn.

    `clock` gives seconds. Raises `BasculeError`, without bubblewrap
    `NotMeasuredError`.
    """
    problem = Bubblewrap().unavailable()
    if problem is not None:
        raise NotMeasuredError(f"bubblewrap: {problem}")
    made = _Made(folder / "launch", files, size)
    try:
        return asyncio.run(made.measure(clock, runs))
    finally:
        made.place.close()


class _Made:
    """An installation with one connector that is locked and approved."""

    def __init__(self, folder: Path, files: int, size: int) -> None:
        server = folder / "server"
        server.mkdir(parents=True)
        shutil.copy(stdio_server.__file__, server / "server.py")
        (server / "pyproject.toml").touch()  # all of the folder belongs to it
        verification.fill(server, files, size)
        self.path = folder / "bascule.toml"
        words = json.dumps([sys.executable, "server/server.py"])
        self.path.write_text(f"[connectors.{NAME}]\ncommand = {words}\n")
        self.config = load(self.path.read_text(), source=str(self.path))
        self.place = Place(data_directory(folder / "data"), self.config.server)
        read_secret = self.place.secrets(self.config.vault)
        self.command = command_of(NAME, self.config.connectors[NAME], read_secret)
        self.lock_place = LockPlace(
            config=self.config,
            config_path=self.path,
            data_dir=self.place.data_dir,
            environment=operator_environment(),
            read_secret=read_secret,
            now=system_clock(),
        )
        self._approve()

    def _approve(self) -> None:
        made = draft(self.lock_place, NAME)
        if made.entry.surface is None:
            raise NotMeasuredError("; ".join(made.warnings))
        desk = Desk(self.place, self.path, self.config, write(self.lock_place, [made]))
        key = own_key(self.place.keys, system_entropy)
        decide_on(desk, NAME, key, Wish("approve", "to be measured"), now=system_clock())
        self.entry = made.entry

    async def measure(self, clock: Callable[[], float], runs: int) -> Launch:
        spec = spec_of(self.lock_place, NAME, self.entry, self.command)
        argv = (str(spec.interpreter), *spec.argv[1:])
        environment = spec.whole_environment(str(self.path.parent), str(self.path.parent))
        bare, locked = [], []
        for number in range(runs + 1):
            one = await bare_ms(clock, argv, environment, self.path.parent)
            other = await locked_ms(clock, self._start)
            if number:  # the first of each reads from disk what then lies in memory
                bare.append(one)
                locked.append(other)
        (build,) = self.entry.builds.values()
        plain, whole = statistics.median(bare), statistics.median(locked)
        return Launch(plain, whole, whole - plain, build.tree.files, build.tree.bytes)

    async def _start(self) -> Start:
        launcher = LockedLaunch(
            place=self.place,
            config_path=self.path,
            config=self.config,
            clock=system_clock,
        )
        start = await launcher.start(self.command, report_nothing)
        assert start is not None  # noqa: S101 - `enforce` starts or refuses
        return start
