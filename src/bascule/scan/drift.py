"""What changed in clients' files since the last scan of the same homes or paths.

What is kept holds nothing of what is taken for a secret: a token that is replaced is no
change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct, field

from bascule.scan.configured import Configured
from bascule.scan.entry_words import clean
from bascule.scan.finding import Finding, found
from bascule.scan.plain_secrets import secret_in
from bascule.scan.redaction import redacted, redacted_url
from bascule.scan.rules.configs import CLIENT_CONFIG_CHANGED

FORMAT = 1
LARGEST = 16 << 20
"""Bytes of the file that is kept."""


class Kept(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a server."""

    name: str
    """As it is shown."""
    start: str
    """Its command or URL, as they are shown."""
    digest: str
    """Of all of its entry but secrets."""


Files = Mapping[str, Mapping[str, Kept]]
"""By file, and by place in it."""


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of all scans."""

    format: int = FORMAT
    scans: dict[str, dict[str, dict[str, Kept]]] = field(default_factory=dict)
    """The last of each, by what was scanned."""


def kept(servers: Iterable[Configured], files: Iterable[str]) -> Files:
    """Give what is kept of servers; `files` were read, those without a server too."""
    state: dict[str, dict[str, Kept]] = {clean(path): {} for path in files}
    for server in servers:
        start = redacted_url(server.url) if server.url else " ".join(server.shown_command)
        state.setdefault(server.path, {})[server.shown_where] = Kept(
            server.shown_name, start, _digest(server.raw)
        )
    return state


def changes(
    before: Files, now: Files, is_there: Callable[[str], bool]
) -> Iterator[Finding]:
    """Tell new, changed and removed servers.

    A file that is there and was not read this time has not changed as far as anybody knows.
    """
    for path in sorted({*before, *now}):
        if path not in now and is_there(path):
            continue
        old, new = before.get(path, {}), now.get(path, {})
        for where in sorted({*old, *new}):
            yield from _change(path, where, old.get(where), new.get(where))


def joined(before: Files, now: Files, is_there: Callable[[str], bool]) -> Files:
    """Give what to keep: what was read, and what is there and was not."""
    return {**{path: it for path, it in before.items() if is_there(path)}, **now}


def scan_key(roots: Sequence[str]) -> str:
    """Name a scan by what it looked at."""
    return "\n".join(sorted(map(clean, roots)))


def parse_state(data: bytes) -> State:
    """Read what was kept. Raises `ValueError`."""
    state = msgspec.json.decode(data, type=State)
    if state.format != FORMAT:
        raise ValueError("another format")
    return state


def _change(path: str, where: str, old: Kept | None, new: Kept | None) -> Iterator[Finding]:
    if old == new:
        return
    it = new or old
    assert it is not None  # noqa: S101 - narrows for mypy
    if new is None:
        evidence = f"gone: `{it.start}`"
    elif old is None:
        evidence = f"new: `{new.start}`"
    elif old.start != new.start:
        evidence = f"was `{old.start}`, is `{new.start}`"
    else:
        evidence = f"`{new.start}` as before, with other variables, headers or options"
    yield found(
        CLIENT_CONFIG_CHANGED,
        f"{path}: {it.name}",
        evidence,
        # Who accepts one change has not accepted the next.
        key=f"{where}\0{new.digest if new else ''}",
        severity=None if new else "info",
        path=path,
    )


def _digest(raw: Mapping[str, object]) -> str:
    data = msgspec.json.encode(_without_secrets("", raw), order="sorted")
    return hashlib.sha256(data).hexdigest()


def _without_secrets(name: str, value: object) -> object:
    if isinstance(value, str):
        return secret_in(name, value) or redacted(clean(value))
    if isinstance(value, dict):
        return {
            clean(str(key)): _without_secrets(str(key), each) for key, each in value.items()
        }
    if isinstance(value, list):
        names = ["", *(it if isinstance(it, str) else "" for it in value)]
        pairs = zip(names, value, strict=False)
        return [_without_secrets(before, each) for before, each in pairs]
    return value if isinstance(value, bool | int | float | None) else clean(str(value))
