"""How a user connects an account at an upstream: where to, as which client, and back.

What the upstream and its authorization server say of themselves is looked up anew for each
attempt; what the user was sent away with is what counts when they are back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from bascule.clock import Clock, Entropy
from bascule.credentials.giving_back import give_back
from bascule.credentials.link_clients import LinkClients
from bascule.credentials.link_target import CALLBACK_PATH, Target, callback_of
from bascule.credentials.linked_tokens import KeptClient, client_for
from bascule.net.fetch import FetchError
from bascule.net.post import send
from bascule.oauthclient.authorization import (
    AuthorizationRefusedError,
    Pending,
    begin_authorization,
    read_response,
    redeem_code,
)
from bascule.oauthclient.challenge import Challenge, token_challenge
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import ALGORITHM, Prover, new_prover
from bascule.oauthclient.errors import (
    UNKNOWN_CLIENT,
    GrantRefusedError,
    UnusableServerError,
)
from bascule.oauthclient.finding import find_server
from bascule.oauthclient.registration import is_forgotten
from bascule.oauthclient.scopes import are_readable, select_scopes
from bascule.oauthclient.tokens import Tokens
from bascule.storage.linked_accounts import LinkedAccount


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a user is about to be sent."""

    target: Target
    resource: str
    """Resource indicator of the tokens (RFC 8707)."""
    server: AuthorizationServer
    scopes: tuple[str, ...]
    """All that is asked for."""
    held: tuple[str, ...]
    """What the account was asked for before."""
    dpop: bool = False
    """Whether the tokens are to be bound to a key."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is kept while the user is away; it holds secrets, so keep it encrypted."""

    pending: Pending
    server: AuthorizationServer
    client: KeptClient
    url: str
    """Of the upstream, as it was when the user agreed."""
    resource: str
    session: int
    """Number of the browser session that began."""
    dpop_key: str | None = field(repr=False, default=None)
    """Private key to bind the tokens to, as JSON."""

    @property
    def prover(self) -> Prover | None:
        """What proves that key."""
        return None if self.dpop_key is None else Prover.of(self.dpop_key)

    def encode(self) -> str:
        """Write it as JSON."""
        return msgspec.json.encode(self).decode()


decode_begun = msgspec.json.Decoder(Begun).decode
"""Reads what `Begun.encode` wrote."""


class LinkFlow:
    """The flow, in one process."""

    def __init__(
        self,
        public_url: str,
        clients: LinkClients,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._public_url = public_url
        self._clients = clients
        self._clock = clock
        self._entropy = entropy

    async def destination(
        self, target: Target, *, wanted: tuple[str, ...], account: LinkedAccount | None
    ) -> Destination:
        """Find out where the user has to go.

        `wanted`: the scopes that the upstream asked for. With those that the `account` was
        asked for already they are asked for, unless it is at another server. Raises
        `OAuthClientError`.
        """
        challenge = await _challenge(target)
        described, server = await find_server(
            target.url,
            challenge,
            target.policy,
            issuer=target.issuer,
            legacy=target.legacy,
        )
        asked = Challenge("bearer", {"scope": " ".join(wanted)}) if wanted else challenge
        is_same = account is not None and account.is_at(target.url, server.issuer)
        held = account.scope if account is not None and is_same else ()
        scopes = select_scopes(asked, described, server, before=(*held, *target.scopes))
        if not are_readable(scopes):
            raise UnusableServerError("the server asks for more scopes than anybody reads")
        resource = target.url if described is None else described.resource
        demands = described is not None and described.dpop_bound_access_tokens_required
        dpop = target.dpop or demands
        if dpop and ALGORITHM not in server.dpop_signing_alg_values_supported:
            raise UnusableServerError(
                f"the authorization server binds no tokens to keys of {ALGORITHM} (DPoP)"
            )
        return Destination(target, resource, server, scopes, held, dpop)

    async def begin(
        self, destination: Destination, session: int, *, again: bool = False
    ) -> tuple[str, Begun]:
        """Give the address to send the user to, and what to keep meanwhile.

        `again`: the user went there not long ago, and did not come back. Then it may be
        that the server has forgotten which client Bascule is. Raises `OAuthClientError`.
        """
        target, server = destination.target, destination.server
        client = await self._clients.get(target, server)
        if again and _is_registered(client, target):
            trial, _ = self._request(destination, client)
            if await is_forgotten(trial, target.policy):
                await self._clients.forget(server, client.client_id)
                client = await self._clients.get(target, server)
        url, pending = self._request(destination, client)
        kept = KeptClient.of(client)
        key = new_prover().kept if destination.dpop else None
        resource = destination.resource
        begun = Begun(pending, server, kept, target.url, resource, session, key)
        return url, begun

    def _request(self, destination: Destination, client: Client) -> tuple[str, Pending]:
        own = _is_registered(client, destination.target)
        back = callback_of(destination.server.issuer) if own else CALLBACK_PATH
        return begin_authorization(
            destination.server,
            client,
            redirect_uri=f"{self._public_url}{back}",
            scopes=destination.scopes,
            resource=destination.resource,
            entropy=self._entropy,
        )

    async def complete(self, begun: Begun, query: str, target: Target) -> Tokens:
        """Give the tokens for what the authorization server sent back.

        Where the server does not know a client any more that it has registered, the next
        attempt registers another. Raises `ForeignResponseError`,
        `AuthorizationRefusedError`, and others of `OAuthClientError`.
        """
        try:
            code = read_response(query, begun.pending)
            tokens = await redeem_code(
                begun.server,
                client_for(target.client, begun.client),
                code,
                begun.pending,
                target.policy,
                prover=begun.prover,
                now=self._clock(),
                entropy=self._entropy,
            )
        except (AuthorizationRefusedError, GrantRefusedError) as exc:
            if exc.error in UNKNOWN_CLIENT:
                await self._clients.forget(begun.server, begun.client.client_id)
            raise
        if not are_readable(tokens.scope):
            await self.give_back(begun, tokens, target)
            raise UnusableServerError("the server gave more scopes than anybody reads")
        return tokens

    async def give_back(self, begun: Begun, tokens: Tokens, target: Target) -> None:
        """Revoke tokens that nobody will use, as far as the server lets us."""
        await give_back(
            target,
            begun.server,
            client_for(target.client, begun.client),
            tokens,
            now=self._clock(),
            entropy=self._entropy,
        )


def _is_registered(client: Client, target: Target) -> bool:
    """Tell whether it was registered dynamically, neither by hand nor by its document."""
    return target.client is None and client.issuer is not None


async def _challenge(target: Target) -> Challenge | None:
    """Ask the upstream without a token, to hear which one it wants (RFC 9728 §5.1)."""
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    try:
        async with send("POST", target.url, headers, body, target.policy) as reply:
            if reply.status != 401:
                return None
            return token_challenge([reply.headers.get("www-authenticate", "")])
    except FetchError:
        return None  # where it describes itself may still answer
