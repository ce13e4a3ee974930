"""A Chromium and a server for each module; the server has a name, so it can have passkeys.

Not for the whole session: while Playwright runs, no other event loop runs in its thread.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from browser.chromium import chromium
from system.recorder import recording
from system.server import Installation, install


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def named(made: Installation) -> None:
    """Call a server `localhost` instead of by its address."""
    text = made.config.read_text()
    made.config.write_text(text.replace(f"http://127.0.0.1:{made.public}", site(made)))


def site(made: Installation) -> str:
    """Give the address under which people know a server."""
    return f"http://localhost:{made.public}"


@pytest.fixture(scope="module")
def bascule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with recording() as upstream:
        made = install(tmp_path_factory.mktemp("site"), upstream)
        named(made)
        made.start()
        try:
            yield made
        finally:
            made.kill()
