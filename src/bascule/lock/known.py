"""Digests of listed definitions, fast for those that were seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Raw

from bascule.lock.definition import (
    MAX_DEFINITIONS,
    MAX_NAME_CHARACTERS,
    Kind,
    SurfaceError,
    UnpinnableError,
    definition_digest,
    listed_name,
)

MOST_KNOWN = 4096
"""Definitions of one connector that are remembered; with one more it begins anew."""


_items = msgspec.json.Decoder(list[Raw])

_Seen = tuple[str, str | None]
"""Name and digest; None for what has none."""


class Known:
    """Remembers the digest of each definition by its bytes.

    An unchanged list costs one plain hash of each definition, and no parsing. Keep one for
    each connector: a server that lists ever new definitions forgets its own alone.
    """

    __slots__ = ("_most", "_seen")

    def __init__(self, *, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._seen: dict[tuple[Kind, bytes], _Seen] = {}

    def digests(self, listed: bytes, kind: Kind) -> dict[str, str | None]:
        """Give the digest of each definition of a list, which is a JSON array.

        None for a definition that cannot be pinned, or whose name another one has too.
        Raises `SurfaceError` for what is no list of named objects, or one that is too long.
        """
        try:
            items = _items.decode(listed)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise SurfaceError(f"`{kind}` is no list") from exc
        return self.digests_of(items, kind)

    def digests_of(self, items: Iterable[bytes | Raw], kind: Kind) -> dict[str, str | None]:
        """Give the same for a list that is taken apart already."""
        found: dict[str, str | None] = {}
        for count, item in enumerate(items):
            if count >= MAX_DEFINITIONS:
                raise SurfaceError(f"`{kind}` has more than {MAX_DEFINITIONS} definitions")
            name, digest = self._look_up(item, kind)
            found[name] = None if name in found else digest
        return found

    def _look_up(self, item: bytes | Raw, kind: Kind) -> _Seen:
        key = (kind, hashlib.sha256(item).digest())
        seen = self._seen.get(key)
        if seen is None:
            seen = _read(bytes(item), kind)
            if len(self._seen) >= self._most:
                self._seen.clear()
            self._seen[key] = seen
        return seen


def _read(item: bytes, kind: Kind) -> _Seen:
    name = listed_name(item, kind)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS[kind]:
        return name, None
    try:
        return name, definition_digest(item)
    except UnpinnableError:
        return name, None
