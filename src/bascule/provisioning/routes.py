"""All addresses at which identity providers tell what they know."""

from __future__ import annotations

from starlette.routing import Route

from bascule.identity.global_revocation import PATH as GLOBAL_REVOCATION
from bascule.provisioning import global_revocation, logout, signals
from bascule.provisioning.endpoint import endpoint
from bascule.provisioning.listener import Listener


def notice_routes(listener: Listener) -> list[Route]:
    """Give the routes of one process."""
    return [
        endpoint(logout.PATH, logout.log_out, listener, logout.problem),
        endpoint(
            GLOBAL_REVOCATION,
            global_revocation.revoke_all,
            listener,
            global_revocation.problem,
        ),
        endpoint(signals.PATH, signals.take_events, listener, signals.problem),
    ]
