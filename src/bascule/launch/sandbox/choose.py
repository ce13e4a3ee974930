"""Which backend encloses a server on this machine."""

from __future__ import annotations

import logging
from typing import Literal

from bascule.config.model import Mode
from bascule.launch.command import LaunchError, private_directories
from bascule.launch.sandbox.backend import Backend, Report
from bascule.launch.sandbox.bubblewrap import Bubblewrap
from bascule.launch.sandbox.landlock import Landlock
from bascule.launch.sandbox.spec import SandboxSpec
from bascule.launch.start import Start, plain_start

log = logging.getLogger("bascule.sandbox")


class Unsandboxed:
    """No sandbox at all, for modes that only watch."""

    name: Literal["none"] = "none"

    def unavailable(self) -> str | None:
        """It can always be used."""
        return None

    def prepare(self, spec: SandboxSpec, report: Report) -> Start:
        """Give a start as this OS user, with the environment that a sandbox gives."""
        if spec.scratch is None:
            raise LaunchError("a server without a sandbox needs a folder of its own")
        own = private_directories(spec.scratch, "")
        environment = spec.whole_environment(own["HOME"], own["TMPDIR"])
        program = str(spec.interpreter.resolve())
        return plain_start(program, (program, *spec.argv[1:]), environment)


def choose(spec: SandboxSpec, mode: Mode, *, bubblewrap: Backend | None = None) -> Backend:
    """Choose for one start: bubblewrap, else Landlock for who may reach nothing.

    Where neither can be had, `enforce` refuses (`LaunchError`), and the other modes go
    on without and say so in the log.
    """
    bubblewrap = bubblewrap or Bubblewrap()
    problem = bubblewrap.unavailable()
    if problem is None:
        return bubblewrap
    landlock = Landlock()
    if not spec.may_reach and landlock.unavailable() is None:
        log.warning("[%s] enclosed by Landlock alone: %s", spec.connector, problem)
        return landlock
    if mode == "enforce":
        raise LaunchError(
            f"connector `{spec.connector}` cannot be enclosed: bubblewrap: {problem}"
        )
    log.warning("[%s] runs without a sandbox: %s", spec.connector, problem)
    return Unsandboxed()
