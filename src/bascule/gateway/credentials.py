"""What a server is shown: Bascule's credential or the user's, never the client's token."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from bascule.credentials.bound import Bound
from bascule.credentials.issued import Issued, IssuedTokens
from bascule.decision.facts import Principal
from bascule.gateway.exchange import Headers, header_block
from bascule.gateway.upstream import Response, UpstreamError
from bascule.oauthclient.challenge import Challenge, scope_challenge
from bascule.oauthclient.errors import (
    GrantRefusedError,
    NotVouchedError,
    OAuthClientError,
    ServerUnavailableError,
    SignInAgainError,
)

log = logging.getLogger(__name__)


UNAUTHORIZED = 401
FORBIDDEN = 403
MAX_WIDER = 2
"""Times that one request is sent again because its user's token has more scopes now."""


class CredentialError(UpstreamError):
    """There is nothing to show the server, so that nothing is sent to it."""

    outcome = "credential_failed"


class NoCredentialNowError(CredentialError):
    """The same, but a later try may bring something."""


@dataclass(frozen=True, slots=True)
class Presented:
    """Header lines for one request."""

    headers: Headers = field(repr=False)
    version: Hashable = 0
    """Tells them from those of another time."""
    bound: Bound | None = None
    """What proves the key of a token that is bound to one."""

    def lines(self, verb: str) -> Headers:
        """Give the lines for one request, with a proof of its own where that is needed."""
        if self.bound is None:
            return self.headers
        proof = self.bound.proof(verb).encode("ascii")
        return self.headers + header_block((b"DPoP", proof))


@dataclass(frozen=True, slots=True)
class Known:
    """What says to a server who sends: its credential, and to a hosted one who calls."""

    presented: Presented
    whose: Headers

    def lines(self, verb: str) -> Headers:
        """Give the lines for one request."""
        return self.presented.lines(verb) + self.whose


@dataclass(frozen=True, slots=True)
class Wider:
    """What a server wants that refused a request for its token's scopes."""

    operation: str
    """What was asked for: one of the same name may be refused a few times."""
    challenge: Challenge


class Credential(Protocol):
    """What one connector's server is shown; used on the event loop of the process."""

    def cached(self, principal: Principal) -> Presented | None:
        """Give what is at hand, without waiting."""
        ...

    async def get(self, principal: Principal) -> Presented:
        """Give what to show, which may have to be asked for. Raises `CredentialError`."""
        ...

    async def refused(self, principal: Principal, presented: Presented) -> Presented | None:
        """Give something else after the server refused that; None when there is nothing.

        Raises `CredentialError`.
        """
        ...

    async def forbidden(
        self, principal: Principal, presented: Presented, wider: Wider
    ) -> Presented | None:
        """Give something of more scopes; None where nobody is asked for more.

        Raises `CredentialError` where its user is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same for whoever calls."""

    presented: Presented

    def cached(self, principal: Principal) -> Presented:
        """Give it."""
        return self.presented

    async def get(self, principal: Principal) -> Presented:
        """Give it."""
        return self.presented

    async def refused(self, principal: Principal, presented: Presented) -> None:
        """There is no other."""

    async def forbidden(
        self, principal: Principal, presented: Presented, wider: Wider
    ) -> None:
        """There is no other: what it may do is for the operator to say."""


class Tokens:
    """Tokens that an authorization server issues, for Bascule or for the user."""

    __slots__ = ("_tokens", "_whom")

    def __init__(self, tokens: IssuedTokens, whom: Callable[[Principal], Hashable]) -> None:
        """`whom` says for whom a token is; it may raise `CredentialError`."""
        self._tokens = tokens
        self._whom = whom

    def cached(self, principal: Principal) -> Presented | None:
        """Give one that is good and need not be replaced yet."""
        issued = self._tokens.cached(self._whom(principal))
        return None if issued is None else _presented(issued)

    async def get(self, principal: Principal) -> Presented:
        """Give one that is good. Raises `CredentialError`."""
        try:
            return _presented(await self._tokens.get(self._whom(principal)))
        except OAuthClientError as exc:
            raise _unavailable(exc) from exc

    async def refused(self, principal: Principal, presented: Presented) -> Presented | None:
        """Give a newer one; None when that one was new. Raises `CredentialError`."""
        try:
            issued = await self._tokens.refused(self._whom(principal), presented.version)
        except OAuthClientError as exc:
            raise _unavailable(exc) from exc
        return None if issued is None else _presented(issued)

    async def forbidden(
        self, principal: Principal, presented: Presented, wider: Wider
    ) -> None:
        """A server widens nothing: the scopes are those of the configuration."""


def _presented(issued: Issued) -> Presented:
    line = (b"Authorization", issued.authorization.encode("ascii"))
    return Presented(header_block(line), issued.version)


def _unavailable(problem: OAuthClientError) -> CredentialError:
    """Say to who calls that there is none, and to the operator why."""
    log.error("no token for a server: %s", problem)
    none = "Bascule has no token for this server"
    match problem:
        case SignInAgainError():
            return CredentialError(f"{none}: sign in to Bascule by your identity provider")
        case NotVouchedError():
            return CredentialError(f"{none}: your identity provider does not vouch for you")
        case GrantRefusedError():
            return CredentialError(f"{none}: its issuer refuses to give one")
        case ServerUnavailableError():
            return NoCredentialNowError(f"{none} at the moment: try again later")
        case _:
            return CredentialError(f"{none}: its issuer cannot be used")


async def shown_to(credential: Credential, principal: Principal) -> Presented:
    """Give what a server is shown for a principal. Raises `CredentialError`."""
    return credential.cached(principal) or await credential.get(principal)


async def with_credential(
    credential: Credential,
    principal: Principal,
    send: Callable[[Presented], Awaitable[Response]],
    operation: str,
) -> Response:
    """Send a request with what there is to show; again with something else after a refusal.

    A server that answers 401, or 403 for the scopes of the token, has done nothing.
    `operation` names what is asked for. Raises `CredentialError`, and what `send` raises.
    """
    presented = await shown_to(credential, principal)
    response = await proven(presented, send)
    if response.status == UNAUTHORIZED and not response.streams:
        other = await credential.refused(principal, presented)
        if other is None:
            return response
        presented, response = other, await proven(other, send)
    for _ in range(MAX_WIDER):
        challenge = _wants_scopes(response)
        if challenge is None:
            break
        wider = Wider(operation, challenge)
        other = await credential.forbidden(principal, presented, wider)
        if other is None:
            break
        presented, response = other, await proven(other, send)
    return response


async def proven(
    presented: Presented, send: Callable[[Presented], Awaitable[Response]]
) -> Response:
    """Send a request; once more where the server wants its nonce in the proof.

    RFC 9449 §9. Another request may have learnt that nonce meanwhile. Raises what `send`
    raises.
    """
    bound = presented.bound
    if bound is None:
        return await send(presented)
    shown = bound.nonce
    response = await send(presented)
    bound.learn(response.nonce)
    is_other = bool(response.nonce) and bound.nonce != shown
    if response.status == UNAUTHORIZED and is_other and not response.streams:
        response = await send(presented)
        bound.learn(response.nonce)
    return response


def _wants_scopes(response: Response) -> Challenge | None:
    """Give the challenge of a refusal that is about scopes; None for any other answer."""
    if response.status != FORBIDDEN or response.streams or not response.challenges:
        return None
    return scope_challenge(it.decode("latin-1") for it in response.challenges)
