"""What the public listener answers beside MCP: the pages of all packages in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from bascule.clock import system_clock
from bascule.config.model import Config
from bascule.gateway.public import public_application
from bascule.storage import key_files
from bascule.storage.store import Store


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages are made from."""

    config: Config
    data_dir: Path
    store: Store
    late: Callable[[], list[str]]
    """Says what is late, one sentence each; empty means ready."""


def public_pages(parts: PageParts) -> Starlette:
    """Make the application of the public listener; once in each process that serves it."""

    def jwks() -> dict[str, object]:
        return key_files.load(parts.data_dir / "keys", now=system_clock()).jwks()

    return public_application(parts.config.server.public_url, jwks, parts.late)
