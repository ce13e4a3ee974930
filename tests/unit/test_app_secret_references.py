"""A secret that others on the host can read is refused before anybody needs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bascule.app.load import Loaded, Sources, load
from bascule.app.secret_references import references
from bascule.config.load import load as read
from bascule.config.model import Config
from bascule.errors import BasculeError

CONFIG = """
[server]
database = "file:<server.database>"
key_encryption = "file:<server.key_encryption>"

[connectors.desk]
command = ["desk"]
env = { DESK_TOKEN = "file:<connectors.desk.env.DESK_TOKEN>", TZ = "UTC" }

[connectors.notes]
url = "https://notes.example/mcp"

[connectors.notes.credential]
kind = "static"
header = "X-Key"
value = "file:<connectors.notes.credential.value>"
shared = true

[connectors.tickets]
url = "https://tickets.example/mcp"

[connectors.tickets.credential]
kind = "client_credentials"
issuer = "https://login.example"
client_id = "bascule"
client_key = "file:<connectors.tickets.credential.client_key>"
shared = true

[connectors.wiki]
url = "https://wiki.example/mcp"

[connectors.wiki.credential]
kind = "workload"
issuer = "https://login.example"
assertion = "file:<connectors.wiki.credential.assertion>"
shared = true

[providers.corp]
issuer = "https://login.corp.example"
client_id = "bascule"
client_secret = "file:<providers.corp.client_secret>"
admit.everybody = true
signals.authorization = "file:<providers.corp.signals.authorization>"

[issuers.far]
issuer = "https://far.example"
audiences = { desk = "api://desk" }
introspection = { endpoint = "https://far.example/i", client_id = "b", \
client_secret = "file:<issuers.far.introspection.client_secret>" }
"""
PLACES = re.findall(r"<(.+?)>", CONFIG)


def config_of(folder: Path, exposed: str | None) -> Config:
    """Read it with one secret in a file that others can read, and the others' not there."""
    paths = dict.fromkeys(PLACES, folder / "none")
    if exposed is not None:
        paths[exposed] = folder / "open"
        paths[exposed].touch()
        paths[exposed].chmod(0o644)
    return read(re.sub("<(.+?)>", lambda it: str(paths[it[1]]), CONFIG), source="x")


def loaded(folder: Path, exposed: str | None) -> Loaded:
    config = config_of(folder, exposed)
    return load(Sources(folder / "bascule.toml", folder, lambda: config))


def test_every_reference_is_found_where_it_stands(tmp_path: Path) -> None:
    assert set(references(config_of(tmp_path, None))) == set(PLACES)


def test_a_secret_that_is_not_there_yet_is_no_reason(tmp_path: Path) -> None:
    assert loaded(tmp_path, None).config.providers


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(BasculeError, match="others can read") as problem:
        loaded(tmp_path, place)
    assert f"`{place}`" in str(problem.value)
