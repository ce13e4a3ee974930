"""The negative matrix of older revisions: a session that is alive opens nothing either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bascule.protocol.legacy import SUPPORTED
from system.forgery import TOKENS, all_of_them
from system.legacy_client import LegacyClient, request
from system.legacy_recorder import LegacyServer
from system.recorder import Recorder, recording
from system.server import Installation, serving

METHODS = (
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "no/such-method",
)
NOTIFICATIONS = (
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
)
PARAMS = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
    "name": "echo",
    "uri": "note:1",
    "ref": {"type": "ref/prompt", "name": "greet"},
    "level": "info",
}
"""What any of the methods may need."""
MESSAGES: list[dict[str, Any]] = [
    *(request(method, PARAMS) for method in METHODS),
    *({"jsonrpc": "2.0", "method": name, "params": PARAMS} for name in NOTIFICATIONS),
    {"jsonrpc": "2.0", "id": 7, "result": {}},
    {"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "no"}},
]


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """Give an upstream of the older revisions, in the place of the modern one."""
    with recording(LegacyServer()) as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("bascule"), recorder) as made:
        yield made


@pytest.fixture(scope="module")
def bad_tokens(bascule: Installation) -> dict[str, str | None]:
    return all_of_them(bascule)


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("bad", ["none", *TOKENS])
def test_no_message_of_an_older_revision_gets_through_with(
    bad: str,
    version: str,
    bascule: Installation,
    recorder: Recorder,
    bad_tokens: dict[str, str | None],
) -> None:
    owner = LegacyClient(bascule, bascule.token(), "desk", version=version)
    assert owner.initialize(version).status == 200
    recorder.take()
    thief = LegacyClient(bascule, bad_tokens[bad], "desk", owner.session, version)
    for message in MESSAGES:
        answer = thief.post(message)
        assert (answer.status, answer.error["code"]) == (401, 401), message
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    for verb in ("GET", "DELETE"):
        assert thief.verb(verb).status == 401
    assert recorder.take() == []
    assert owner.tool("echo").status == 200
