"""The JWT that a platform gives its workload, exchanged for a token (SEP-1933)."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.assertion import GRANT, redeem_assertion
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import UnusableServerError
from bascule.oauthclient.tokens import Tokens


async def redeem_workload_token(
    server: AuthorizationServer,
    workload_token: str,
    policy: FetchPolicy,
    *,
    resource: str,
    scopes: Sequence[str] = (),
    now: UnixTime,
    entropy: Entropy,
) -> Tokens:
    """Exchange the platform's JWT for an access token: no client id, no registration.

    Raises `UnusableServerError` where the server says that it does not know the grant,
    before the JWT goes there, else as `request_token` does.
    """
    if GRANT not in (server.grant_types_supported or ()):
        raise UnusableServerError("the authorization server takes no workload identities")
    return await redeem_assertion(
        server, None, workload_token, policy, resource=resource, scopes=scopes,
        now=now, entropy=entropy,
    )  # fmt: skip
