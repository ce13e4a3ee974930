"""The tools that connectors have: as locked, or else as they say when they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.app.place import Place
from bascule.app.stdio import command_of
from bascule.app.upstream_credentials import listing_header
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.launch.command import (
    environment_of,
    operator_environment,
    private_directories,
    program_of,
)
from bascule.launch.process import Process
from bascule.launch.start import plain_start
from bascule.lock.capture import CapturedSurface
from bascule.lock.capture_http import capture_http
from bascule.lock.capture_stdio import MAX_LINE_BYTES, capture_stdio
from bascule.lock.lock_file import read_lock

UNAPPROVED_MODES = frozenset(("observe", "warn"))
"""In these a connector is served although nobody has approved it."""


@dataclass(frozen=True, slots=True)
class KnownTools:
    """What is known of some connectors."""

    tools: Mapping[str, tuple[str, ...]]
    """Names of tools, sorted, by connector."""
    unserved: tuple[str, ...] = ()
    """Connectors of which nothing is served, and so nothing asked: they are in no lock."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Why it is not known what other connectors serve."""


def locked_tools(config_path: Path, config: Config) -> dict[str, tuple[str, ...]]:
    """Give the tools of each connector whose surface is in the lock: no others are served.

    Whether it is approved is the gate's affair. Raises `LockError`.
    """
    entries = read_lock(config_path.parent).connectors
    surfaces = {name: it.surface for name, it in entries.items() if it.surface is not None}
    return {
        name: tuple(sorted(surfaces[name].tools))
        for name in config.connectors
        if name in surfaces
    }


def known_tools(
    config_path: Path,
    config: Config,
    names: Iterable[str],
    place: Callable[[], Place],
    *,
    fetch: bool,
    say: Callable[[str], None],
) -> KnownTools:
    """Give the tools of some connectors; with `fetch` those without a lock are asked.

    `say` hears of the progress. Raises `LockError` for a lock that cannot be read.
    """
    locked = locked_tools(config_path, config)
    tools: dict[str, tuple[str, ...]] = {}
    unserved: list[str] = []
    unknown: dict[str, str] = {}
    for name in names:
        if name in locked:
            tools[name] = locked[name]
        elif config.connectors[name].mode not in UNAPPROVED_MODES:
            unserved.append(name)
        elif not fetch:
            unknown[name] = "is in no lock, and was not asked"
        else:
            say(f"asking {name} for its tools")
            try:
                tools[name] = served_tools(config, name, place())
            except BasculeError as exc:
                unknown[name] = str(exc)
    return KnownTools(tools, tuple(unserved), unknown)


def served_tools(config: Config, name: str, place: Place) -> tuple[str, ...]:
    """Ask for the tools that a connector serves now, sorted.

    Runs its command, or calls its URL with its credential, as `up` does in the modes in
    which nobody has to approve that. Raises `BasculeError`.
    """
    captured = asyncio.run(_asked(config, name, place))
    return tuple(sorted(captured.pins.tools))


async def _asked(config: Config, name: str, place: Place) -> CapturedSurface:
    connector, read_secret = config.connectors[name], place.secrets(config.vault)
    if connector.url is not None:
        return await capture_http(
            connector.url,
            header=await listing_header(connector, config, read_secret),
            private=config.network.private,
            cleartext=connector.unsafe_cleartext,
        )
    command = command_of(name, connector, read_secret)
    inherited, folder = operator_environment(), place.data_dir / "servers" / name
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    directories = private_directories(folder, "")

    async def start(process: Process) -> None:
        program = program_of(command, inherited)
        environment = environment_of(command, directories, inherited)
        await process.start(
            plain_start(program, command.argv, environment), limit=MAX_LINE_BYTES
        )

    return await capture_stdio(name, start, connector.env, secrets=command.secrets)
