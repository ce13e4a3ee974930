"""What one client sees of a server in one conversation, read under bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from bascule.launch.opening import client_info
from bascule.lock.definition import MAX_DEFINITIONS, Kind, SurfaceError
from bascule.lock.invisible import visible
from bascule.protocol import modern
from bascule.protocol.message import METHOD_NOT_FOUND

MAX_PAGES = 200
"""Of one list."""
MAX_VIEW_BYTES = 16 << 20
"""All results of one conversation together."""
MAX_READS = 4
"""So often lists are read again that changed meanwhile."""
MAX_SHOWN_CHARACTERS = 200
"""Of an error that a server gives."""

LISTS: Mapping[Kind, tuple[str, str]] = {
    "tools": ("tools/list", "tools"),
    "prompts": ("prompts/list", "prompts"),
    "resourceTemplates": ("resources/templates/list", "resources"),
}
"""Method of each list, and the capability that names it."""

_WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_capabilities = msgspec.json.Decoder(dict[str, Any])


class CaptureError(SurfaceError):
    """The surface of a server cannot be captured; the message says why."""


class RefusedError(CaptureError):
    """The server answered a request with an error; `code` is that of JSON-RPC."""

    def __init__(self, method: str, code: int, message: str) -> None:
        said = visible(message[:MAX_SHOWN_CHARACTERS])
        super().__init__(f"the server answers `{method}` with error {code}: {said}")
        self.code = code


class Conversation(Protocol):
    """One client's talk with a server: a process, or a session over HTTP."""

    changes: int
    """How often the server has said that a list has changed."""

    async def request(self, method: str, params: Mapping[str, Any]) -> Raw:
        """Give the result of a request. Raises `RefusedError`, or `CaptureError`."""
        ...

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification. Raises `CaptureError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that one client saw."""

    revision: str
    """Of MCP."""
    capabilities: Mapping[str, Any]
    """What the client declared."""
    opening: Raw
    """Result of `server/discover`, or of `initialize`."""
    listed: Mapping[Kind, list[Raw]] = field(default_factory=dict)


class _Opening(Struct):
    capabilities: Raw = Raw(b"{}")


async def read_view(
    conversation: Conversation,
    *,
    revision: str,
    capabilities: Mapping[str, Any],
    opening: Raw,
) -> View:
    """Read all lists that the server's capabilities name, all their pages.

    Raises `CaptureError` for what does not end, is too large or does not stay the same.
    """
    meta: dict[str, Any] = {}
    if revision == modern.VERSION:
        meta = {modern.META: modern_meta(capabilities)}
    reader = _Reader(conversation, meta)
    for _ in range(MAX_READS):
        before = conversation.changes
        listed = {
            kind: await reader.read(kind, method)
            for kind, (method, capability) in LISTS.items()
            if capability in _declared(opening)
        }
        if conversation.changes == before:
            return View(
                revision=revision,
                capabilities=capabilities,
                opening=opening,
                listed=listed,
            )
    raise CaptureError("the server keeps changing its lists while they are read")


def modern_meta(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Give what each request of 2026-07-28 says of itself."""
    return {
        modern.PROTOCOL_VERSION: modern.VERSION,
        modern.CLIENT_CAPABILITIES: dict(capabilities),
        modern.CLIENT_INFO: client_info(),
    }


class _Reader:
    def __init__(self, conversation: Conversation, params: Mapping[str, Any]) -> None:
        self._conversation = conversation
        self._params = params
        self._left = MAX_VIEW_BYTES

    async def read(self, kind: Kind, method: str) -> list[Raw]:
        """Read all pages of one list."""
        found: list[Raw] = []
        cursors: set[str] = set()
        cursor = ""
        for _ in range(MAX_PAGES):
            page = await self._page(method, {"cursor": cursor} if cursors else {})
            found += _part(page, kind, method)
            if len(found) > MAX_DEFINITIONS:
                raise CaptureError(
                    f"`{method}` gives more than {MAX_DEFINITIONS} definitions"
                )
            following = _cursor(page, method)
            if following is None:
                return found
            if following in cursors:
                raise CaptureError(f"`{method}` gives the same page again and again")
            cursor = following
            cursors.add(cursor)
        raise CaptureError(f"`{method}` has more than {MAX_PAGES} pages")

    async def _page(self, method: str, params: Mapping[str, Any]) -> dict[str, Raw]:
        try:
            result = await self._conversation.request(method, {**self._params, **params})
        except RefusedError as exc:
            # Some have resources without templates, and say so this way.
            if exc.code == METHOD_NOT_FOUND and method == "resources/templates/list":
                return {}
            raise
        self._left -= len(bytes(result))
        if self._left < 0:
            raise CaptureError(f"the server sends more than {MAX_VIEW_BYTES} bytes")
        try:
            return _fields.decode(result)
        except _WRONG as exc:
            raise CaptureError(f"the result of `{method}` is no object") from exc


def _part(page: Mapping[str, Raw], kind: Kind, method: str) -> list[Raw]:
    try:
        return _items.decode(page.get(kind, Raw(b"[]")))
    except _WRONG as exc:
        raise CaptureError(f"the result of `{method}` has no list `{kind}`") from exc


def _cursor(page: Mapping[str, Raw], method: str) -> str | None:
    try:
        return msgspec.json.decode(page.get("nextCursor", Raw(b"null")), type=str | None)
    except _WRONG as exc:
        raise CaptureError(f"`{method}` gives a cursor that is no text") from exc


def _declared(opening: Raw) -> Mapping[str, Any]:
    try:
        return _capabilities.decode(
            msgspec.json.decode(opening, type=_Opening).capabilities
        )
    except _WRONG as exc:
        raise CaptureError("the server names its capabilities in no valid way") from exc
