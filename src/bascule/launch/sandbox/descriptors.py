"""Bytes for a child process in descriptors: never on a disk, never on a command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(slots=True)
class Descriptors:
    """Descriptors that one child inherits, and that are ours to close."""

    numbers: list[int] = field(default_factory=list)

    def holding(self, data: bytes) -> int:
        """Give one from which these bytes can be read once."""
        number = os.memfd_create("bascule", 0)
        self.numbers.append(number)
        os.set_inheritable(number, True)
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(data)
        os.lseek(number, 0, os.SEEK_SET)
        return number

    def add(self, number: int) -> int:
        """Take one over."""
        self.numbers.append(number)
        os.set_inheritable(number, True)
        return number

    def close(self) -> None:
        """Close all."""
        for number in self.numbers:
            os.close(number)
        self.numbers.clear()
