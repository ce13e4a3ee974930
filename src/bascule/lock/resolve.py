"""From what a command asks for to the exact packages, all that they need included."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.clock import UnixTime
from bascule.lock.cooldown import Cooldown, Fixes
from bascule.lock.launcher import Asked
from bascule.lock.lock_file import NativeFormat
from bascule.lock.model import LockError, Package

Progress = Callable[[str], None]
"""Hears what is being done, one sentence each."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The packages that a command runs, resolved at one time for one platform."""

    asked: Asked
    root: str = ""
    """purl of the package that was asked for; empty where nothing is published."""
    packages: tuple[Package, ...] = ()
    """Sorted by purl, the root among them."""
    native_lock: str | None = None
    """Text of the ecosystem's own lock, without hosts."""
    native_format: NativeFormat | None = None
    warnings: tuple[str, ...] = ()
    """What a reviewer has to know, one sentence each; sorted."""


def resolve(
    asked: Asked,
    *,
    folder: Path,
    now: UnixTime,
    cooldown: Cooldown,
    environment: Mapping[str, str],
    python: str = sys.executable,
    fixes: Fixes | None = None,
    internal_names: Collection[str] = (),
    progress: Progress = lambda _: None,
) -> Resolution:
    """Resolve what a command asks for.

    `folder` is where relative paths of the command start. `environment` is the operator's:
    the resolvers find registries and credentials there. `python` is the interpreter that
    will run Python packages. `internal_names` are the organisation's own packages, which
    must not come from a public registry. Raises `LockError`.
    """
    raise LockError(f"packages of `{asked.source.kind}` cannot be resolved yet")
