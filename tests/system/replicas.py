"""Servers on one PostgreSQL, each with a data directory and ports of its own."""

from __future__ import annotations

from pathlib import Path

from system.recorder import Recorder
from system.server import Installation, configure, install

KEY_ENCRYPTION = "c2hhcmVkIGJ5IGFsbCBob3N0cyBvZiB0aGlzIHRlc3Q="


def on_postgres(
    folder: Path, recorder: Recorder, url: str, *, key: str = KEY_ENCRYPTION, more: str = ""
) -> Installation:
    """Install a server whose state, keys and log are in a database."""
    return install(folder, recorder, server=in_database(folder, url, key), more=more)


def replica(
    folder: Path, recorder: Recorder, url: str, first: Installation, *, more: str = ""
) -> Installation:
    """Configure another server on the same database, of the same public address."""
    server = in_database(folder, url, KEY_ENCRYPTION)
    made = configure(folder, recorder, server=server, more=more)
    text = made.config.read_text().replace(
        f'public_url = "{made.url}"',
        f'public_url = "{first.url}"\nallowed_hosts = ["127.0.0.1:{made.public}"]',
        1,
    )
    made.config.write_text(text)
    return made


def in_database(folder: Path, url: str, key: str = KEY_ENCRYPTION) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in (("database", url), ("key-encryption", key)):
        (folder / name).touch(0o600)
        (folder / name).write_text(text + "\n")
    return (
        f'database = "file:{folder}/database"\n'
        f'key_encryption = "file:{folder}/key-encryption"'
    )
