"""What a scan of this machine knows before it asks anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bascule.lock.invisible import visible
from bascule.scan.interfaces import OwnAddress
from bascule.scan.local_view import Listener, LocalView, Process
from bascule.scan.named import Named
from bascule.scan.redaction import redacted_command

_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What runs here, which addresses there are, and who has named what."""

    view: LocalView
    own: tuple[OwnAddress, ...]
    named: tuple[Named, ...] = ()
    host_names: tuple[str, ...] = ()
    """What this machine calls itself, in lower case."""
    bascule_ports: frozenset[int] = frozenset()
    """Where Bascule's own configuration lets clients reach it."""
    user_id: int | None = None
    """Whose files were looked through for names; None: those of all users."""

    def naming_listener(self, listener: Listener) -> tuple[Named, ...]:
        """Give who names a socket, by its URL or by the program that listens."""
        command = listener.process.command if listener.process else ()
        return tuple(
            it
            for it in self.named
            if it.calls(listener, self.own, self.host_names) or it.starts(command)
        )

    def naming_process(self, family: Iterable[Process]) -> tuple[Named, ...]:
        """Give who names a server that is these processes."""
        commands = [it.command for it in family]
        return tuple(it for it in self.named if any(map(it.starts, commands)))

    def names_command(self, command: Sequence[str]) -> bool:
        """Tell whether somebody names a command as that of a server."""
        return any(it.starts(command) for it in self.named)

    def may_be_named_elsewhere(self, user_id: int | None) -> bool:
        """Tell whether the files of a program's user were not looked through."""
        return self.user_id is not None and user_id != self.user_id


def shown_command(process: Process) -> str:
    """Write a command line for people: no secrets, one line, not too long."""
    text = visible(" ".join(redacted_command(process.command)))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def shown_process(process: Process | None) -> str:
    """Say which process something is."""
    if process is None:
        return "a process that cannot be seen"
    container = f" in container {process.container}" if process.container else ""
    return f"process {process.pid}{container}, `{shown_command(process)}`"
