"""What an authorization server says of a token (RFC 7662)."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus

from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.errors import ServerUnavailableError
from bascule.oauthclient.token_endpoint import post_form

INACTIVE = b'{"active":false}'


async def introspect_token(
    endpoint: str, client_id: str, secret: str, token: str, policy: FetchPolicy
) -> bytes:
    """Ask about an access token; give the body of the answer, as it came.

    Some servers take no question about a JWT, which is none of their opaque tokens; that
    is an answer as well. Raises `ServerUnavailableError` for every status but 200 and 400:
    whoever is refused as a client has learned nothing about the token.
    """
    proof = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(proof).decode()}"}
    form = {"token": token, "token_type_hint": "access_token"}
    reply = await post_form(endpoint, form, headers, policy)
    if reply.status == 400:
        return INACTIVE if token.count(".") == 2 else reply.body
    if reply.status != 200:
        raise ServerUnavailableError(
            f"the introspection endpoint answers with status {reply.status}"
        )
    return reply.body
