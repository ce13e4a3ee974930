"""Reading and changing `mcp.lock.json` and the files that its entries refer to.

The lock file is what counts: a file beside it is in force when the entry's digest is that
of its bytes. Its next version waits under a hidden name until the lock file that refers to
it was replaced, so that a process killed at any point leaves either the old state or the
new one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec

from bascule.lock.model import FORMAT, Entry, LockError, LockFile, NativeLock
from bascule.storage.whole_files import alone, replace, write_like

LOCK_NAME = "mcp.lock.json"
MAX_LOCK_BYTES = 64 << 20
FILE_MODE = 0o644
"""Of new files: they are facts to be reviewed, and hold no secret."""

NativeFormat = Literal["requirements", "package-lock"]
NATIVE_NAMES: Mapping[NativeFormat, str] = {
    "requirements": "requirements.txt",
    "package-lock": "package-lock.json",
}
_CONNECTOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")

_DIGEST_DIGITS = 16

EMPTY = LockFile(format=FORMAT)


def parse_lock(content: bytes) -> LockFile:
    """Parse a lock file. Raises `LockError`, and nothing else, for any bytes."""
    if len(content) > MAX_LOCK_BYTES:
        raise LockError(f"`{LOCK_NAME}` is larger than {MAX_LOCK_BYTES} bytes")
    try:
        tree = json.loads(
            content.decode(), object_pairs_hook=_members, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as exc:
        raise LockError(f"`{LOCK_NAME}` is not valid JSON: {exc}") from exc
    number = tree.get("lock_format") if isinstance(tree, dict) else None
    if number != FORMAT or isinstance(number, bool):
        raise LockError(
            f"`{LOCK_NAME}` has `lock_format` {json.dumps(number)[:40]}, and this version "
            f"reads {FORMAT}: use the version of Bascule that wrote it"
        )
    try:
        lock = msgspec.convert(tree, LockFile)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise LockError(f"`{LOCK_NAME}`: {exc}") from exc
    for name in lock.connectors:
        refuse_no_name(name)
    return lock


def format_lock(lock: LockFile) -> bytes:
    """Write a lock file: keys sorted, one item a line, all characters visible.

    The same lock gives the same bytes. Raises `LockError` for what `parse_lock` refuses.
    """
    text = json.dumps(msgspec.to_builtins(lock), sort_keys=True, indent=2)
    content = f"{text}\n".encode()
    parse_lock(content)
    return content


def read_lock(folder: Path) -> LockFile:
    """Read the lock file beside the configuration; a missing one has no connectors.

    Raises `LockError`.
    """
    path = folder / LOCK_NAME
    if path.exists() and not path.is_file():  # to read a pipe would take for ever
        raise LockError(f"`{path}` is no file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LOCK_BYTES + 1)
    except FileNotFoundError:
        return EMPTY
    except OSError as exc:
        raise LockError(f"cannot read `{path}`: {exc.strerror}") from exc
    return parse_lock(content)


def change_lock(
    folder: Path,
    change: Callable[[LockFile], LockFile],
    *,
    beside: Mapping[str, bytes] | None = None,
) -> LockFile:
    """Replace the lock file by `change` of it, with files that it refers to.

    `beside` holds the whole content by path below the folder (`locks/NAME/…`,
    `surfaces/NAME.json`). Readers, and whoever finds what a killed process left, see the
    old state or the new. Modes and owners stay. Gives the new lock file. Raises `LockError`
    when a file cannot be read or written, and what `change` raises; all is then as before.
    """
    path = (folder / LOCK_NAME).resolve()  # a link stays a link
    targets = {below(folder, name): content for name, content in (beside or {}).items()}
    try:
        with alone(path.parent):
            lock = change(read_lock(folder))
            content = format_lock(lock)
            staged = {target: _stage(target, each) for target, each in targets.items()}
            replace(path, content, new_mode=FILE_MODE)
            for target, waiting in staged.items():
                waiting.replace(target)
                for old in _waiting(target):
                    old.unlink(missing_ok=True)
    except OSError as exc:
        raise LockError(f"cannot change `{exc.filename or path}`: {exc.strerror}") from exc
    return lock


def read_beside(folder: Path, name: str, is_meant: Callable[[bytes], bool]) -> bytes:
    """Read a file that an entry refers to; `is_meant` compares it with the entry's digest.

    Raises `LockError` when neither it nor a version that waits to take its place is meant.
    """
    path = below(folder, name)
    found = False
    for each in (path, *_waiting(path)):
        try:
            with each.open("rb") as file:
                content = file.read(MAX_LOCK_BYTES)  # of a longer one, another digest
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise LockError(f"cannot read `{path}`: {exc.strerror}") from exc
        found = True
        if is_meant(content):
            return content
    problem = "is not the file that the lock names" if found else "is missing"
    raise LockError(f"`{name}` {problem}: restore it, or run `bascule lock` anew")


def native_name(connector: str, native_format: NativeFormat) -> str:
    """Give the path of an ecosystem's own lock, below the configuration's folder."""
    return f"locks/{refuse_no_name(connector)}/{NATIVE_NAMES[native_format]}"


def native_lock(content: str, native_format: NativeFormat) -> NativeLock:
    """Give what an entry says of an ecosystem's own lock."""
    return NativeLock(native_format, hashlib.sha256(content.encode()).hexdigest())


def read_native(folder: Path, connector: str, native: NativeLock) -> str:
    """Read an ecosystem's own lock. Raises `LockError` when it is not the one locked."""

    def is_meant(content: bytes) -> bool:
        return hashlib.sha256(content).hexdigest() == native.sha256

    return read_beside(folder, native_name(connector, native.format), is_meant).decode()


def with_entry(lock: LockFile, connector: str, entry: Entry) -> LockFile:
    """Give a lock file with one entry put in or replaced."""
    connectors = {**lock.connectors, refuse_no_name(connector): entry}
    return msgspec.structs.replace(lock, connectors=connectors)


def entries_of(lock: LockFile, names: Collection[str]) -> dict[str, Entry]:
    """Give the entries of those names, all for none. Raises `LockError` for unlocked ones.

    A lock without any entry is an error as well: there is nothing to tell of.
    """
    for name in names:
        if name not in lock.connectors:
            raise LockError(f"connector `{name}` is not locked: run `bascule lock {name}`")
    if not lock.connectors:
        raise LockError("nothing is locked: `bascule add` or `bascule lock` makes entries")
    return {it: lock.connectors[it] for it in names or lock.connectors}


def refuse_no_name(name: str) -> str:
    """Give a connector's name. Raises `LockError` for what is none."""
    if not _CONNECTOR.fullmatch(name):
        raise LockError(f"`{name[:80]!a}` is no name of a connector")
    return name


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with a doubled key, which other parsers would read differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        doubled = next(key for key, _ in pairs if sum(key == each for each, _ in pairs) > 1)
        raise ValueError(f"key `{doubled[:80]}` stands twice in one object")
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"`{constant}` is no JSON")


def below(folder: Path, name: str) -> Path:
    """Give a path below a folder. Raises `LockError` for one that leads elsewhere."""
    if not re.fullmatch(r"[a-z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9_][a-zA-Z0-9._-]*)*", name):
        raise LockError(f"`{name[:80]!a}` is no path below the configuration")
    path = folder
    for part in name.split("/")[:-1]:
        path /= part
        if path.is_symlink():  # who may write here would have us write elsewhere
            raise LockError(f"`{path}` is a link: put a folder in its place")
    return folder / name


def _stage(target: Path, content: bytes) -> Path:
    """Write the next version of a file beside it, where it takes no other's place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    waiting = target.with_name(f".{target.name}.{digest[:_DIGEST_DIGITS]}.next")
    write_like(waiting, content, like=target, new_mode=FILE_MODE)
    return waiting


def _waiting(target: Path) -> list[Path]:
    """Give versions that processes which were killed left behind."""
    pattern = f".{target.name}.{'[0-9a-f]' * _DIGEST_DIGITS}.next"
    return sorted(target.parent.glob(pattern))
