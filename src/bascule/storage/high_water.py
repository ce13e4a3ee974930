"""The highest generation that was ever seen, kept beside the keys.

A state database that was restored from an older copy is told by it.
"""

from __future__ import annotations

from pathlib import Path

from bascule.errors import BasculeError
from bascule.storage import durable


def read(path: Path) -> int:
    """Give the number in the file, 0 without one.

    Raises `BasculeError` for anything else: guessing low would trust a restored database.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return 0
    if not text.isdigit() or len(text) > 18:
        raise BasculeError(
            f"`{path}` holds no generation: remove it, then run `bascule revoke --all`"
        )
    return int(text)


def raise_to(path: Path, generation: int) -> None:
    """Write the number unless the file has a higher one; durable on return."""
    with durable.locked(path.with_suffix(".lock")):
        if read(path) < generation:
            durable.write(path, str(generation).encode())
