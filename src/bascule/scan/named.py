"""Servers that somebody has named, and whether what runs here is one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bascule.scan.interfaces import OwnAddress, is_own, plain
from bascule.scan.local_view import Listener
from bascule.scan.program_names import base_name, operands, title_words
from bascule.scan.target import looks_secret

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_REFERENCE = re.compile(r"\$\{[^{}]*\}|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|^~(?=/|$)")
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A server that a client's file or Bascule's configuration names."""

    name: str
    command: tuple[str, ...] = field(default=(), repr=False)
    """As it is written, secrets too: never printed."""
    url: str = field(default="", repr=False)
    client: str = ""
    """Empty for Bascule itself."""
    path: str = ""
    """The file."""

    def starts(self, command: Sequence[str]) -> bool:
        """Tell whether a process that runs with this command may be what is started."""
        return bool(self.command) and any(
            _matches(self.command, words) for words in _readings(command)
        )

    def calls(
        self, listener: Listener, own: Sequence[OwnAddress], names: Sequence[str]
    ) -> bool:
        """Tell whether its URL leads to a socket of this machine, which has these names."""
        place = self.place
        if place is None or place[1] != listener.port:
            return False
        host = place[0]
        everywhere = listener.address in _WILDCARDS
        if host == "localhost":
            return everywhere or plain(listener.address).is_loopback
        if host in names:
            return True
        try:
            return is_own(host, own) and (
                everywhere or plain(host) == plain(listener.address)
            )
        except ValueError:
            return False

    @property
    def hint(self) -> str:
        """Path of its URL, to ask at; empty where there is none, or it may be a secret."""
        try:
            path = urlsplit(self.url).path
        except ValueError:
            return ""
        return "" if any(map(looks_secret, path.split("/"))) else path

    @property
    def place(self) -> tuple[str, int] | None:
        """Host, in lower case, and port of its URL; None where there is none."""
        try:
            parts = urlsplit(self.url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return None
        host = (parts.hostname or "").removesuffix(".")
        if not host or port is None:
            return None
        return "127.0.0.1" if host in _WILDCARDS else host, port


def _readings(command: Sequence[str]) -> list[list[str]]:
    """Give what may have been written to start a process that now has this command.

    A script shows as its interpreter and itself.
    """
    words = title_words(command)
    return [words, words[1:]]


def _matches(written: Sequence[str], running: Sequence[str]) -> bool:
    """Compare word by word; a reference to a variable stands for anything."""
    if not running:
        return False
    if running[:2] == ["npm", "exec"]:  # what npx and `npm exec` call themselves
        running, written = ["npx", *operands(running[2:])], ["npx", *operands(written[1:])]
    if base_name(written[0]) != base_name(running[0]) or len(written) != len(running):
        return False
    return all(map(_is_word, written[1:], running[1:]))


def _is_word(written: str, running: str) -> bool:
    if written == running:
        return True
    if not _REFERENCE.search(written):
        return False
    first, *others = _REFERENCE.split(written)
    at = len(first)
    if not running.startswith(first):
        return False
    # From left to right, so that no file makes this take long.
    for part in others[:-1]:
        found = running.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return running[at:].endswith(others[-1])
