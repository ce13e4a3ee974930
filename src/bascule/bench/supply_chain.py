"""What it costs to serve only what was approved: at a start, at a list, at a call."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from bascule.bench import launch, verification
from bascule.bench.gate import GateCost, gate_cost
from bascule.bench.matching import ADVISORIES, PACKAGES, Matching, matching
from bascule.bench.npx import RUNS, NotCachedError, Npx, npx_cost

Progress = Callable[[str], None]
LeaveOut = Callable[[str, str], None]
"""Takes what was not measured, and why."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and how often."""

    files: int = verification.FILES
    bytes: int = verification.BYTES
    packages: int = PACKAGES
    advisories: int = ADVISORIES
    starts: int = launch.RUNS


class SupplyChain(Struct, frozen=True, kw_only=True):
    """All of it; None for what is not assessed."""

    verify_ms: float
    """Median time to hash a tree of 4,000 files and 25 MB."""
    gate: GateCost
    matching: Matching
    launch: launch.Launch | None
    npx: Npx | None
    npx_ratio: float | None
    """What our launch adds to a bare start, over what a warm `npx -y` adds."""


def measure(
    clock: Callable[[], float],
    folder: Path,
    sizes: Sizes,
    progress: Progress,
    leave_out: LeaveOut,
) -> SupplyChain:
    """Measure all of it in a folder of its own. Raises `BasculeError`."""
    folder.mkdir()
    progress("verifying a tree")
    verify_ms = verification.verification_ms(clock, files=sizes.files, size=sizes.bytes)
    gate = gate_cost(clock)
    progress("matching with advisories")
    matched = matching(clock, folder, packages=sizes.packages, advisories=sizes.advisories)
    progress("starting a locked server")
    launched: launch.Launch | None = None
    cached: Npx | None = None
    try:
        launched = launch.launch(
            clock, folder, files=sizes.files, size=sizes.bytes, runs=sizes.starts
        )
    except launch.NotMeasuredError as exc:
        leave_out("launch", str(exc))
    try:
        cached = npx_cost(clock, folder, os.environ, runs=min(sizes.starts, RUNS))
    except NotCachedError as exc:
        leave_out("npx", str(exc))
    ratio = None
    if launched is not None and cached is not None and cached.added_ms > 0:
        ratio = round(launched.added_ms / cached.added_ms, 3)
    return SupplyChain(
        verify_ms=verify_ms,
        gate=gate,
        matching=matched,
        launch=launched,
        npx=cached,
        npx_ratio=ratio,
    )
