"""Changing `bascule.toml`: whole or not at all, one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bascule.errors import BasculeError
from bascule.storage.whole_files import alone, replace


def change_text(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by `change` of it; a missing file is an empty one.

    A reader sees the old text or the new. Mode and owner stay; a new file is 0600. Raises
    `BasculeError` when it cannot be read or written, and what `change` raises; the file is
    then as before.
    """
    path = path.resolve()  # a link stays a link
    try:
        with alone(path.parent):
            before = path.read_bytes().decode() if path.exists() else ""
            replace(path, change(before).encode())
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"cannot change `{path}`: {exc}") from exc
