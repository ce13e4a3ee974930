"""A gateway in front of servers of the revisions before 2026-07-28, for several modules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from system.legacy_client import LegacyClient
from system.legacy_recorder import TOOLS, LegacyServer
from system.recorder import Recorder, recording
from system.server import Installation, serving

CONNECTORS = """
[connectors.lodge]
mode = "observe"
url = "http://127.0.0.1:{lodge}/mcp"
may_ask = ["elicitation"]

[connectors.barn]
mode = "observe"
url = "http://127.0.0.1:{lodge}/mcp"
may_ask = ["elicitation"]

[connectors.plain]
mode = "observe"
url = "http://127.0.0.1:{plain}/mcp"

[roles.guest]
members = ["user:alice", "user:bob"]
allow = [{allowed}, "lodge/resource:note:*"]
"""


@contextlib.contextmanager
def lodging(
    folder: Path, recorder: Recorder, server: LegacyServer | None = None
) -> Iterator[tuple[Installation, Recorder]]:
    """Run a gateway and give it with the upstream of `lodge` and `barn`."""
    names = ("lodge", "barn", "plain")
    allowed = ", ".join(f'"{name}/{tool}"' for name in names for tool in TOOLS)
    with (
        recording(server or LegacyServer()) as lodge,
        recording(LegacyServer(sessions=False)) as plain,
    ):
        more = CONNECTORS.format(lodge=lodge.port, plain=plain.port, allowed=allowed)
        with serving(folder, recorder, more=more) as made:
            yield made, lodge


def begun(
    bascule: Installation, user: str = "alice", connector: str = "lodge"
) -> LegacyClient:
    """Begin a session as a user."""
    client = LegacyClient(bascule, bascule.token(user, connector), connector)
    assert client.initialize().status == 200
    assert client.notify("notifications/initialized").status == 202
    return client
