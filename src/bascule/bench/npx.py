"""How long `npx -y` takes to start what lies in its cache, without asking any registry."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from bascule.bench.opened import bare_ms
from bascule.errors import BasculeError

PACKAGE = "@modelcontextprotocol/server-filesystem"
"""A server that nearly everybody has had started by `npx` once."""
RUNS = 3
_ASK_SECONDS = 20
_ASK_NOBODY = {"npm_config_offline": "true", "npm_config_update_notifier": "false"}


class NotCachedError(BasculeError):
    """`npx` or the package is not there; the message says how to get it."""


class Npx(Struct, frozen=True):
    """Milliseconds until `initialize` is answered; medians."""

    package: str
    bare_ms: float
    """Node.js with the cached program, executed as it is."""
    warm_ms: float
    """`npx --offline -y PACKAGE`."""
    added_ms: float


@dataclass(frozen=True, slots=True)
class Cached:
    """Programs and files that are there."""

    npx: str
    node: str
    program: Path
    """The package's own, in the cache."""


def find_cached(environment: Mapping[str, str]) -> Cached:
    """Look for `npx`, and for the package in its cache. Raises `NotCachedError`."""
    path = environment.get("PATH", os.defpath)
    npm, npx, node = (shutil.which(name, path=path) for name in ("npm", "npx", "node"))
    if npm is None or npx is None or node is None:
        raise NotCachedError("`npm`, `npx` and `node` are not all on PATH")
    for manifest in sorted(_cache(npm, environment).glob("_npx/*/package.json")):
        program = _program(manifest)
        if program is not None:
            return Cached(npx, node, program)
    raise NotCachedError(f"not in npm's cache: run `npx -y {PACKAGE} /tmp` once")


def _cache(npm: str, environment: Mapping[str, str]) -> Path:
    try:
        asked = subprocess.run(  # noqa: S603 - an argument vector, no shell
            [npm, "config", "get", "cache"],
            env={**environment, **_ASK_NOBODY},
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASK_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise NotCachedError(f"npm does not say where its cache is: {exc}") from exc
    return Path(asked.stdout.strip())


def _program(manifest: Path) -> Path | None:
    """Find the package's program where `npx` keeps it under its name alone."""
    package = manifest.parent / "node_modules" / PACKAGE
    try:
        if json.loads(manifest.read_text())["_npx"]["packages"] != [PACKAGE]:
            return None
        (program,) = json.loads((package / "package.json").read_text())["bin"].values()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return package / str(program)


def npx_cost(
    clock: Callable[[], float],
    folder: Path,
    environment: Mapping[str, str],
    *,
    runs: int = RUNS,
) -> Npx:
    """Start the package both ways in turn; it may see `folder`. Raises `BasculeError`."""
    return asyncio.run(_measure(clock, folder, environment, find_cached(environment), runs))


async def _measure(
    clock: Callable[[], float],
    folder: Path,
    environment: Mapping[str, str],
    cached: Cached,
    runs: int,
) -> Npx:
    plain = [cached.node, str(cached.program), str(folder)]
    through = [cached.npx, "--offline", "-y", PACKAGE, str(folder)]
    silent = {**environment, **_ASK_NOBODY}
    bare, warm = [], []
    for number in range(runs + 1):
        one = await bare_ms(clock, plain, environment, folder)
        other = await bare_ms(clock, through, silent, folder)
        if number:  # the first of each reads from disk what then lies in memory
            bare.append(one)
            warm.append(other)
    least, whole = statistics.median(bare), statistics.median(warm)
    return Npx(PACKAGE, least, whole, whole - least)
