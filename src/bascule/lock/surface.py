"""All that a server serves: what it says of itself, its definitions, and their digests.

`surfaces/NAME.json` holds every definition whole, in a form that people can compare. Its
digest stands in the lock, with one for each definition, so that a reviewer reads the very
definitions that are let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import field

from bascule.lock.definition import (
    SurfaceError,
    UnpinnableError,
    canonical_digest,
    strict_json,
)
from bascule.lock.invisible import json_text
from bascule.lock.lock_file import read_beside
from bascule.lock.model import Item, LockError, Surface
from bascule.protocol import modern

FORMAT = 1
MAX_DOCUMENT_BYTES = 64 << 20
_TOO_LARGE = f"a surface is larger than {MAX_DOCUMENT_BYTES} bytes"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

Definitions = dict[str, tuple[dict[str, Any], ...]]
"""By name; a name has several when the server showed different ones."""


class Context(Item, frozen=True):
    """What a server was told when it was asked for its surface."""

    environment: dict[str, str] = field(default_factory=dict)
    """Without secrets: these stand as references."""
    revisions: tuple[str, ...] = ()
    """Of MCP, in which it answered."""
    capabilities: tuple[dict[str, Any], ...] = ()
    """Of the client: each was declared once."""


class Document(Item, frozen=True):
    """The content of `surfaces/NAME.json`."""

    format: int = field(name="surface_format")
    context: Context
    server: tuple[dict[str, Any], ...] = ()
    """Each identity that it gave; see `identity_of`."""
    instructions: tuple[str, ...] = ()
    tools: Definitions = field(default_factory=dict)
    prompts: Definitions = field(default_factory=dict)
    resource_templates: Definitions = field(default_factory=dict, name="resourceTemplates")
    refused: dict[str, str] = field(default_factory=dict)
    """What cannot be pinned and is never served: reason by `tools/NAME`."""


def identity_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Give who a server says it is, from a result of `server/discover` or `initialize`.

    Name, version and whatever else stands beside them, and the capabilities. Left out is
    what belongs to one answer: `ttlMs`, `cacheScope`, `resultType`, other `_meta`, and the
    revisions, which differ by who asked.
    """
    meta = result.get(modern.META)
    within = meta.get(SERVER_INFO) if isinstance(meta, dict) else None
    return {
        "capabilities": result.get("capabilities", {}),
        "serverInfo": result.get("serverInfo", within),
    }


def server_digest(result: Mapping[str, Any]) -> str:
    """Hash who a server says it is. Raises `UnpinnableError`."""
    return canonical_digest(identity_of(result))


def instructions_digest(text: str) -> str:
    """Hash the instructions that a server gives to models. Raises `UnpinnableError`."""
    return canonical_digest(text)


def document_digest(document: Document) -> str:
    """Hash a whole document: what `Surface.set` is."""
    return canonical_digest(msgspec.to_builtins(document))


def pins(document: Document, *, seen_by: str = "") -> Surface:
    """Give the digests of a document, as the lock holds them.

    `seen_by` is the backend of the sandbox in which it was captured.
    """
    return Surface(
        set=document_digest(document),
        context=canonical_digest(msgspec.to_builtins(document.context)),
        server=_digests(document.server),
        instructions=_digests(document.instructions),
        tools=_pinned(document.tools),
        prompts=_pinned(document.prompts),
        resource_templates=_pinned(document.resource_templates),
        seen_by=seen_by,
    )


def format_document(document: Document) -> bytes:
    """Write a document: keys sorted, one item a line, unseen characters as escapes.

    The same document gives the same bytes. Raises `SurfaceError` for one that is too large
    to be read again.
    """
    content = f"{json_text(msgspec.to_builtins(document), indent=1)}\n".encode()
    if len(content) > MAX_DOCUMENT_BYTES:
        raise SurfaceError(_TOO_LARGE)
    return content


def parse_document(content: bytes) -> Document:
    """Read a document. Raises `LockError`, and nothing else, for any bytes."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise SurfaceError(_TOO_LARGE)
    try:
        tree = strict_json(content)
    except UnpinnableError as exc:
        raise SurfaceError(f"a surface cannot be read: it {exc}") from exc
    number = tree.get("surface_format") if isinstance(tree, dict) else None
    if number != FORMAT or isinstance(number, bool):
        raise SurfaceError(
            f"a surface has another `surface_format` than {FORMAT}: use the version of "
            "Bascule that wrote it"
        )
    try:
        return msgspec.convert(tree, Document)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise SurfaceError(f"a surface cannot be read: {exc}") from exc


def document_name(connector: str) -> str:
    """Give the path of a connector's document, below the configuration's folder."""
    return f"surfaces/{connector}.json"


def read_document(folder: Path, connector: str, surface: Surface) -> Document:
    """Read the document that an entry's surface names. Raises `LockError`."""

    def is_meant(content: bytes) -> bool:
        try:
            return document_digest(parse_document(content)) == surface.set
        except LockError:
            return False

    return parse_document(read_beside(folder, document_name(connector), is_meant))


def _digests(values: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(sorted({canonical_digest(value) for value in values}))


def _pinned(definitions: Definitions) -> dict[str, tuple[str, ...]]:
    return {name: _digests(each) for name, each in sorted(definitions.items())}
