"""A new log in place of one that cannot go on; the old one stays, as evidence."""

from __future__ import annotations

import re
from pathlib import Path

from bascule.audit.durable import sync_folder
from bascule.audit.log import KeyFile, log_keys
from bascule.audit.log_files import FolderFiles
from bascule.audit.note import Signer
from bascule.audit.sequencer import state_key
from bascule.audit.state import State, TreeError, read_state, write_state
from bascule.clock import Entropy
from bascule.errors import BasculeError

_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z]")


def restart(
    data_dir: Path, key_file: KeyFile, entropy: Entropy
) -> tuple[str, dict[str, str]]:
    """Put the log and its key aside, apart from one another, and begin a new one.

    Gives the new origin, and what is to be recorded of the old log. Nobody else may use the
    log meanwhile. After a crash before the key is put aside the next start refuses, and
    this can be called again; after it, the next start begins the new log. Raises
    `SequencerBusyError`.
    """
    # A command that takes records in would go on writing where the new log begins.
    files = FolderFiles(data_dir / "audit")
    files.take()
    try:
        return _restart(data_dir, key_file, entropy)
    finally:
        files.release()


def _restart(
    data_dir: Path, key_file: KeyFile, entropy: Entropy
) -> tuple[str, dict[str, str]]:
    old = _describe(data_dir)
    suffix = _NOT_IN_NAMES.sub("", old.origin.rpartition("/")[2]) or "unknown"
    aside = _free(data_dir, f"audit.{suffix}.{old.size}")
    (data_dir / "audit").rename(aside)
    (data_dir / "audit").mkdir(mode=0o700)
    sync_folder(data_dir)
    # With the old key still there, neither a missing state nor this one is started from.
    _remember(data_dir / "audit", [it for it in (old.origin, *old.replaces) if it], entropy)
    key = data_dir / "keys" / "log.key"
    if key.exists():
        key.rename(_free(data_dir / "keys", f"log.{suffix}", ".key"))
    sync_folder(data_dir / "keys")
    keys = log_keys(data_dir, key_file, entropy)
    record = {
        "folder": aside.name,
        "origin": old.origin,
        "root": old.root,
        "size": str(old.size),
    }
    return keys.signer.name, record


def _free(folder: Path, name: str, end: str = "") -> Path:
    """Give a path that nothing has: the name, or the name with a number behind it."""
    path, number = folder / f"{name}{end}", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{end}"
    return path


def _describe(data_dir: Path) -> State:
    """Say what the old log claims to be; nothing of it needs to be whole."""
    try:
        state = read_state(FolderFiles(data_dir / "audit"))
    except TreeError:
        state = None
    return state or State(_key_name(data_dir / "keys" / "log.key"))


def _key_name(path: Path) -> str:
    try:
        return Signer.parse(path.read_text(encoding="ascii")).name
    except (OSError, UnicodeDecodeError, BasculeError):
        return ""


def _remember(folder: Path, origins: list[str], entropy: Entropy) -> None:
    """Leave a state that names the logs before; beginning a log takes it up."""
    nobody = Signer("none", entropy(32))
    write_state(FolderFiles(folder), State("", replaces=origins), state_key(nobody))
