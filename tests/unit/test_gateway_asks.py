"""What a server may ask, before any client is asked."""

from __future__ import annotations

import pytest

from bascule.clock import system_entropy
from bascule.gateway.asks import MAX_ID_CHARACTERS, TOO_LONG, Asks
from bascule.gateway.handles import Sealer
from bascule.gateway.sessions import Held, Origin, Session
from bascule.protocol.message import MessageId


@pytest.mark.parametrize(
    ("upstream_id", "passes"),
    [(7, True), ("x" * MAX_ID_CHARACTERS, True), ("x" * (MAX_ID_CHARACTERS + 1), False)],
    ids=["number", "long", "too long"],
)
def test_an_id_that_is_too_long_to_be_kept_is_refused(
    upstream_id: MessageId, passes: bool
) -> None:
    """Also of a ping, which every server may send."""
    origin = Origin("jti", issued_at=0, issue_number=None, grant=None)
    session = Session("tag", "2025-11-25", None, "here", (), origin, expires=1)
    held = Held(session, "desk", ("user:alice", "app", "desk", "tag"))
    asks = Asks(Sealer(bytes(32), system_entropy), held)
    assert asks.refusal("ping", upstream_id, ()) is (None if passes else TOO_LONG)
