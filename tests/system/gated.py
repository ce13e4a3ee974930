"""A server in front of the turncoat, whose surface somebody has approved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bascule.app.approval_keys import own_key
from bascule.app.approving import Desk, Wish, decide_on
from bascule.app.place import Place
from bascule.clock import system_clock, system_entropy
from bascule.config.load import load
from bascule.lock.declared import access_of, launch_of, sandbox_of
from bascule.lock.lock_file import change_lock, read_lock, with_entry
from bascule.lock.model import Entry, Source
from bascule.lock.surface import Document, document_name, format_document, pins
from ports import free_ports
from system.server import Installation
from system.turncoat import Turncoat

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"
{server}

[boundary]
every_minutes = 0

[connectors.desk]
url = "http://127.0.0.1:{upstream}/mcp"
owner = "support"
may_ask = ["elicitation"]
{mode}

[connectors.annex]
url = "http://127.0.0.1:{upstream}/annex"

[toolsets]
"desk:read" = ["desk/e*"]

[roles.clerk]
members = ["user:alice", "user:bob"]
allow = ["desk:read", "desk/other", "desk/fres*", "desk/prompt:*", "desk/resource:*",
  "annex/*"]

[agents]
default_ceiling = ["desk/*", "annex/*"]
"""


def lock(made: Installation, name: str, document: Document) -> None:
    """Lock a connector as it is configured, with a surface."""
    config = load(made.config.read_text(), source="bascule.toml")
    connector = config.connectors[name]
    entry = Entry(
        source=Source("http", connector.url or ""),
        launch=launch_of(connector),
        access=access_of(name, config, document.tools),
        sandbox=sandbox_of(name, config),
        surface=pins(document),
    )
    change_lock(
        made.config.parent,
        lambda before: with_entry(before, name, entry),
        beside={document_name(name): format_document(document)},
    )


def approve(made: Installation, name: str = "desk", *more: str) -> None:
    """Approve what is locked."""
    made.ask("approve", name, "--reason", "looked at it", *more)


def approve_for(made: Installation, seconds: int) -> None:
    """Approve what is locked for less time than the command line can say."""
    config = load(made.config.read_text(), source="bascule.toml")
    place = Place(made.data, config.server)
    try:
        desk = Desk(place, made.config, config, read_lock(made.config.parent))
        key = own_key(place.keys, system_entropy)
        wish = Wish("approve", "looked at it", seconds)
        decide_on(desk, "desk", key, wish, now=system_clock())
    finally:
        place.close()


def install(
    folder: Path, upstream: Turncoat, *, mode: str = "", server: str = ""
) -> Installation:
    """Write a configuration with two connectors, of which `desk` is locked."""
    made = configure(folder, upstream, mode=mode, server=server)
    for name in ("alice", "bob"):
        made.ask("user", "add", name)
    lock(made, "desk", upstream.document())
    return made


def configure(
    folder: Path, upstream: Turncoat, *, mode: str = "", server: str = ""
) -> Installation:
    """Write a configuration with two connectors; `server` stands in that table."""
    folder.mkdir(exist_ok=True)
    made = Installation(folder, *free_ports(2))
    made.config.write_text(
        CONFIG.format(
            public=made.public,
            admin=made.admin,
            upstream=upstream.port,
            mode=f'mode = "{mode}"' if mode else "",
            server=server,
        )
    )
    return made


@contextlib.contextmanager
def gated(
    folder: Path, upstream: Turncoat, *, mode: str = "", options: tuple[str, ...] = ()
) -> Iterator[Installation]:
    """Serve an approved `desk`, and an `annex` that nobody has approved."""
    made = install(folder, upstream, mode=mode)
    approve(made)
    made.start(*options)
    try:
        yield made
    finally:
        made.kill()
