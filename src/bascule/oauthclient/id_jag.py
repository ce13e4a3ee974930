"""Enterprise-managed authorization: from a login at the provider to an upstream's token.

The provider vouches for the user at the upstream's authorization server by an identity
assertion (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant), and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.assertion import redeem_assertion
from bascule.oauthclient.client import Client, authentication_method
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import ServerUnavailableError, UnusableServerError
from bascule.oauthclient.exchange import ID_JAG, Shown, request_exchange
from bascule.oauthclient.tokens import Tokens


@dataclass(frozen=True, slots=True)
class IdentityAssertion:
    """What the provider vouches for; good once, soon, at one server."""

    token: str = field(repr=False)
    issuer: str
    """The authorization server it is for."""
    resource: str
    scopes: tuple[str, ...]
    refresh_token: str | None = field(repr=False, default=None)
    """What takes the place of the refresh token that was shown for it, if anything does."""


async def request_id_jag(
    provider: AuthorizationServer,
    client: Client,
    subject: Shown,
    policy: FetchPolicy,
    *,
    issuer: str,
    resource: str,
    scopes: Sequence[str],
    now: UnixTime,
    entropy: Entropy,
) -> IdentityAssertion:
    """Ask the provider to vouch for the user whose ID or refresh token is `subject`.

    `client`: who we are at the provider, which issued the token to it. `issuer`: the
    upstream's authorization server, as the operator configured it: a resource that could
    choose would have any user vouched for anywhere. Raises as `request_token` does.
    """
    answer = await request_exchange(
        provider, client, subject, policy, wanted=ID_JAG, resource=resource,
        audience=issuer, scopes=scopes, actor=None, now=now, entropy=entropy,
    )  # fmt: skip
    if answer.token_type.lower() != "n_a":
        raise ServerUnavailableError("the provider gave a token instead of an assertion")
    given = scopes if answer.scope is None else answer.scope.split()
    return IdentityAssertion(
        answer.access_token,
        issuer,
        resource,
        tuple(it for it in given if not scopes or it in scopes),
        answer.refresh_token,
    )


async def redeem_id_jag(
    server: AuthorizationServer,
    client: Client,
    assertion: IdentityAssertion,
    policy: FetchPolicy,
    *,
    now: UnixTime,
    entropy: Entropy,
) -> Tokens:
    """Exchange the assertion for an access token, at the server it is for alone.

    `client`: who we are there, with a secret or key. Raises as `request_token`
    does.
    """
    if server.issuer != assertion.issuer:
        raise UnusableServerError("the identity assertion is for another server")
    if authentication_method(client, server) == "none":
        raise UnusableServerError("an identity assertion needs a client that authenticates")
    return await redeem_assertion(
        server, client, assertion.token, policy, resource=assertion.resource,
        scopes=assertion.scopes, now=now, entropy=entropy,
    )  # fmt: skip
