"""A new log in place of one that cannot go on; the old one stays, as evidence."""

from __future__ import annotations

import re

from bascule.audit.log import SIGNING_KEY, log_keys
from bascule.audit.log_files import LogFiles
from bascule.audit.log_place import Keys, LogPlace
from bascule.audit.note import Signer
from bascule.audit.sequencer import state_key
from bascule.audit.state import State, TreeError, read_state, write_state
from bascule.clock import Entropy
from bascule.errors import BasculeError

_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z]")


def restart(place: LogPlace, entropy: Entropy) -> tuple[str, dict[str, str]]:
    """Put the log and its key aside, apart from one another, and begin a new one.

    Gives the new origin, and what is to be recorded of the old log. Nobody else may use the
    log meanwhile. After a crash before the key is put aside the next start refuses, and
    this can be called again; after it, the next start begins the new log. Raises
    `SequencerBusyError`.
    """
    # A command that takes records in would go on writing where the new log begins.
    files = place.files()
    files.take()
    try:
        record = _put_aside(place.keys, files, entropy)
    finally:
        files.release()
    return log_keys(place, entropy).signer.name, record


def _put_aside(keys: Keys, files: LogFiles, entropy: Entropy) -> dict[str, str]:
    old = _describe(keys, files)
    suffix = _NOT_IN_NAMES.sub("", old.origin.rpartition("/")[2]) or "unknown"
    aside = files.put_aside(f"{suffix}.{old.size}")
    # With the old key still there, neither a missing state nor this one is started from.
    _remember(files, [it for it in (old.origin, *old.replaces) if it], entropy)
    if keys.read(SIGNING_KEY) is not None:
        keys.rename(SIGNING_KEY, _free(keys, suffix))
    return {
        "folder": aside,
        "origin": old.origin,
        "root": old.root,
        "size": str(old.size),
    }


def _free(keys: Keys, suffix: str) -> str:
    """Give a name that no key has: with the suffix, or with a number behind it."""
    taken = keys.names("log.")
    name, number = f"log.{suffix}.key", 1
    while name in taken:
        number += 1
        name = f"log.{suffix}-{number}.key"
    return name


def _describe(keys: Keys, files: LogFiles) -> State:
    """Say what the old log claims to be; nothing of it needs to be whole."""
    try:
        state = read_state(files)
    except TreeError:
        state = None
    return state or State(_origin_of_key(keys))


def _origin_of_key(keys: Keys) -> str:
    try:
        return Signer.parse((keys.read(SIGNING_KEY) or b"").decode("ascii")).name
    except (UnicodeDecodeError, BasculeError):
        return ""


def _remember(files: LogFiles, origins: list[str], entropy: Entropy) -> None:
    """Leave a state that names the logs before; beginning a log takes it up."""
    nobody = Signer("none", entropy(32))
    write_state(files, State("", replaces=origins), state_key(nobody))
