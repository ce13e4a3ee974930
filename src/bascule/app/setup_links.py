"""Set-up links: how people without a login get one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bascule.app.place import Place
from bascule.clock import UnixTime, system_clock, system_entropy
from bascule.storage import first_admin

SETUP_SECONDS = 24 * 3600
FIRST_ADMIN_SETUP_SECONDS = 15 * 60
SETUP_BYTES = 32
FILE = "setup-link"


def new_setup_link(public_url: str) -> tuple[str, bytes]:
    """Make a set-up link of 256 random bits, and the hash that is kept of them."""
    token = system_entropy(SETUP_BYTES).hex()
    return f"{public_url}/login/setup/{token}", hashlib.sha256(token.encode()).digest()


def offer_first_admin(
    place: Place, public_url: str, show: Callable[[str], None] | None
) -> None:
    """Make a link for the first administrator, unless there is one.

    `show` gets it when somebody looks at a terminal; otherwise it goes into a file that the
    server's user alone can read. It goes nowhere else.
    """
    link, digest = new_setup_link(public_url)
    now = system_clock()
    forget_first_admin_file(place.data_dir)
    offer = partial(
        first_admin.offer,
        token_hash=digest,
        expires_at=UnixTime(now + FIRST_ADMIN_SETUP_SECONDS),
        now=now,
        beside_others=place.is_shared,
    )
    if not place.open_state().run(offer):
        return
    if show is not None:
        show(link)
    else:
        _write(place.data_dir / FILE, f"{link}\n")


def forget_first_admin_file(data_dir: Path) -> None:
    """Remove the file with the link, which is of no use any more."""
    (data_dir / FILE).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
