"""A JWT that somebody else signed, exchanged for a token (RFC 7523 §2.1).

Two uses: the second leg of an identity assertion (`id_jag`), with the client authenticated,
and workload identity federation, where the platform's JWT is all there is (SEP-1933).
"""

from __future__ import annotations

from collections.abc import Sequence

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.token_endpoint import request_token
from bascule.oauthclient.tokens import Tokens, read_tokens

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def redeem_assertion(
    server: AuthorizationServer,
    client: Client | None,
    assertion: str,
    policy: FetchPolicy,
    *,
    resource: str | None,
    scopes: Sequence[str],
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Tokens:
    """Ask for a token on the strength of an assertion; `client` None authenticates nobody.

    What was refused is not tried again, nor in another way: the assertion is wrong for that
    server, or was used. Raises as `request_token` does.
    """
    form = {
        "grant_type": GRANT,
        "assertion": assertion,
        "resource": resource,
        "scope": " ".join(scopes) or None,
    }
    answer = await request_token(
        server, client, form, policy, now=now, entropy=entropy, prover=prover
    )
    return read_tokens(answer, asked=scopes, now=now)
