"""`audits.toml` and the files that it imports, from the folder of the configuration."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import tomlkit

from bascule.app.config_file import change_text
from bascule.errors import BasculeError
from bascule.lock.audits import Audits, take_together
from bascule.lock.audits_file import (
    MAX_BYTES,
    AuditsError,
    AuditsFile,
    Import,
    parse_audits,
)
from bascule.storage.whole_files import alone, replace

FILE = "audits.toml"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_READABLE = 0o644


def read_audits(folder: Path) -> Audits:
    """Read all that counts of audits; nothing does where there is no `audits.toml`.

    Raises `AuditsError`.
    """
    path = folder / FILE
    if not path.exists():
        return Audits()
    ours = parse_audits(read_file(path), source=FILE)
    files = {name: folder / it.file for name, it in ours.imports.items()}
    return take_together(ours, {name: read_file(at) for name, at in files.items()})


def import_audits(
    folder: Path, name: str, content: bytes, record: Callable[[str], None]
) -> tuple[AuditsFile, Import]:
    """Take in a file of audits by others, in the place of an earlier one of that name.

    `record` hears its digest before anything is written. Gives what it holds, and how it
    counts: whose audits, and in which criteria, stays as it was, nobody's at first. A
    process that ends between both files leaves a digest that does not fit, and then nothing
    is read before this is done again. Raises `BasculeError`.
    """
    if _NAME.fullmatch(name) is None:
        raise AuditsError(f"`{name[:80]!a}` is no name: lower-case letters, digits, `-`")
    theirs = parse_audits(content, source=f"audits/{name}.toml")
    digest = hashlib.sha256(content).hexdigest()
    taken: list[Import] = []

    def change(text: str) -> str:
        changed, settings = with_import(text, name, digest)
        record(digest)
        _write(folder / settings.file, content)
        taken.append(settings)
        return changed

    change_text(folder / FILE, change)
    return theirs, taken[0]


def with_import(text: str, name: str, sha256: str) -> tuple[str, Import]:
    """Name a file in the text of `audits.toml`; all else stays, comments included.

    Gives the text and the import as it counts. Raises `AuditsError`.
    """
    before = parse_audits(text.encode(), source=FILE)
    known = before.imports.get(name)
    file = f"audits/{name}.toml"
    settings = (
        Import(file=file, sha256=sha256)
        if known is None
        else msgspec.structs.replace(known, file=file, sha256=sha256)
    )
    document = tomlkit.parse(text)
    imports = document.setdefault("imports", tomlkit.table(is_super_table=True))
    table = imports.setdefault(name, tomlkit.table())
    table["file"], table["sha256"] = file, sha256
    changed = tomlkit.dumps(document)
    wanted = msgspec.structs.replace(before, imports={**before.imports, name: settings})
    if parse_audits(changed.encode(), source=FILE) != wanted:
        raise AuditsError(f"`{FILE}` cannot be changed: write `imports.{name}` by hand")
    return changed, settings


def read_file(path: Path) -> bytes:
    """Read one file of audits. Raises `AuditsError`, also for one that is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise AuditsError(f"cannot read `{path}`: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise AuditsError(f"`{path}` is larger than {MAX_BYTES} bytes")
    return content


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with alone(path.parent):
            replace(path, content, new_mode=_READABLE)
    except OSError as exc:
        raise BasculeError(f"cannot write `{path}`: {exc.strerror}") from exc
