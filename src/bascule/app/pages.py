"""What the public listener answers beside MCP: the pages of all packages in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.gateway.public import public_application
from bascule.storage import key_files
from bascule.storage.store import Store
from bascule.web.headers import SecurityHeaders
from bascule.web.records import Records
from bascule.web.site import Site
from bascule.web.static import STATIC_ROUTE


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages are made from."""

    config: Config
    data_dir: Path
    store: Store
    records: Records
    late: Callable[[], list[str]]
    """Says what is late, one sentence each; empty means ready."""


def public_pages(parts: PageParts) -> Starlette:
    """Make the application of the public listener; once in each process that serves it."""

    def jwks() -> dict[str, object]:
        return key_files.load(parts.data_dir / "keys", now=system_clock()).jwks()

    url = parts.config.server.public_url
    made = public_application(url, jwks, parts.late, [STATIC_ROUTE])
    made.state.site = Site(
        url=url,
        audience="public",
        store=parts.store,
        clock=system_clock,
        entropy=system_entropy,
        records=parts.records,
    )
    made.add_middleware(SecurityHeaders, url=url)
    return made
