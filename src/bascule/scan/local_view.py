"""What runs and what listens on this machine, as the operating system has it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bascule.scan.report import Gap

HERE = "this host"
"""Target of what is said about the machine as a whole."""


@dataclass(frozen=True, slots=True)
class Process:
    """One program that runs; None for what is not known of it."""

    pid: int
    parent: int
    user_id: int | None
    command: tuple[str, ...]
    """As the system has it: it may hold secrets."""
    directory: str | None = None
    """Its working directory."""
    container: str | None = None
    """`ENGINE:ID`, from its control group."""
    input: str | None = None
    """What its standard input is, as Linux names it: `pipe:[1234]`."""
    output: str | None = None
    channels: frozenset[str] | None = field(default=None, repr=False)
    """Pipes that it reads and sockets, whatever their numbers, but for its standard error:
    a launcher and the server that it starts have some in common."""


Processes = Mapping[int, Process]
"""Processes by their id."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket that takes connections."""

    address: str
    """Literal that it is bound to: `0.0.0.0` and `::` stand for all addresses."""
    port: int
    user_id: int | None
    process: Process | None
    """The first of those that have it open; None when none may be seen."""
    network: int | None = None
    """Its network namespace, by inode, where that is not this process's own."""


@dataclass(frozen=True, slots=True)
class LocalView:
    """What could be seen, and what could not."""

    processes: Processes
    listeners: tuple[Listener, ...]
    not_assessed: tuple[Gap, ...]


def look() -> LocalView:
    """See what runs and listens. Raises OSError where the system tells nothing."""
    return _look()


def ancestors(process: Process, processes: Processes) -> Sequence[Process]:
    """Give the parent of a process, its parent and so on, as far as they still run."""
    chain: dict[int, Process] = {}
    while (parent := processes.get(process.parent)) and parent.pid not in chain:
        chain[parent.pid] = process = parent
    return tuple(chain.values())


def closed_processes(number: int, remedy: str) -> Gap:
    """Say that so many processes could not be looked into."""
    return Gap(
        target=HERE,
        what=f"what {number} processes have open: the sockets that they listen on, and "
        "whether they speak over standard input and output",
        why=f"the system shows it to their own user and to administrators alone: {remedy}",
    )


if sys.platform == "linux":

    def _look() -> LocalView:
        from bascule.scan import procfs

        return procfs.look()

else:

    def _look() -> LocalView:
        from bascule.scan import psutil_view

        return psutil_view.look()
