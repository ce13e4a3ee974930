"""A search for secrets in bytes, however they are written there."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
"""How files begin into which a search could not look."""


def spellings(secret: str) -> Mapping[str, bytes]:
    """Give a secret as it could stand somewhere, by the name of the spelling."""
    plain = secret.encode()
    found = {
        "as it is": plain,
        "in a URL": quote(secret, safe="").encode(),
        "in a path": quote(secret).encode(),
        "in a form": quote_plus(secret).encode(),
        "in HTML": html.escape(secret).encode(),
        "in JSON": json.dumps(secret)[1:-1].encode(),
        "in hex": plain.hex().encode(),
        "in HEX": plain.hex().upper().encode(),
        "in UTF-16": secret.encode("utf-16-le"),
    }
    for written in ("as it is", "in a form"):  # the latter in `Authorization: Basic`
        for shift in range(3):
            name = f"{written}, in Base64, {shift} bytes on"
            found[name] = inner = _in_base64(found[written], shift)
            found[f"{name}, for URLs"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def _in_base64(plain: bytes, shift: int) -> bytes:
    """Give what stands there whatever is around it; `shift`: bytes before it, modulo 3."""
    text = base64.b64encode(b"x" * shift + plain)
    # The first and the last group hold something of what is beside it.
    return text[4 if shift else 0 : (len(plain) + shift) // 3 * 4]


def search(
    places: Iterable[tuple[str, bytes]], secrets: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Give place, secret and spelling of all that is found."""
    needles: dict[bytes, tuple[str, str]] = {}
    for name, secret in secrets.items():
        for spelling, needle in spellings(secret).items():
            needles.setdefault(needle, (name, spelling))
    return [
        (place, *what)
        for place, content in places
        for needle, what in needles.items()
        if needle in content
    ]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Read all files below a folder, and of databases all rows besides.

    A row may lie in several pages, and what is only in the write-ahead log is in no file
    but that one.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            assert not content.startswith(COMPRESSED), f"nobody can look into {path}"
            yield str(path.relative_to(folder)), content
            if content.startswith(b"SQLite format 3"):
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
                    yield f"rows of {path.name}", "\n".join(opened.iterdump()).encode()


def processes(root: int) -> Iterator[tuple[str, int]]:
    """Give the command and the number of a process and of all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append(int(stat.parent.name))
    todo = [root]
    while todo:
        pid = todo.pop()
        todo += parents.get(pid, [])
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "), pid
