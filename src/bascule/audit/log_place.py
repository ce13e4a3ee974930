"""Where a log has its parts: files, inbox and keys, in a folder or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bascule.audit.inbox import Inbox
from bascule.audit.log_files import LogFiles


class Keys(Protocol):
    """The log's keys by name; what is written is durable on return."""

    def names(self, prefix: str) -> list[str]:
        """Give the names that begin so."""

    def read(self, name: str) -> bytes | None:
        """Give a key; None without one of that name."""

    def create(self, name: str, fresh: bytes) -> bytes:
        """Give a key; `fresh` becomes the key when there is none."""

    def rename(self, name: str, to: str) -> None:
        """Give a key another name, which none may have."""

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Hold a lock against other processes and threads."""


class SharedInbox(Inbox, Protocol):
    """An inbox that processes of several hosts write."""

    def age(self) -> float:
        """Give the seconds that the oldest record waits."""

    def ended(self, chains: Set[str]) -> Set[str]:
        """Give those of some chains that nobody can write any more, for good."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """All that it takes to use one log; each call opens something of its own."""

    keys: Keys
    files: Callable[[], LogFiles]
    inbox: Callable[[], Inbox]
    shared_inbox: Callable[[], SharedInbox] | None
    """Opens the same inbox where several hosts may write it; else None."""
    seen: Path | None
    """Folder that remembers, for this host, the newest checkpoint it has signed."""
    disk: Path
    """Where free space is looked at before records are written."""
