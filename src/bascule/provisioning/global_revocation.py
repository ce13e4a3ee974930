"""`POST /global-token-revocation/NAME`: a provider orders that all of a user's ends.

Global Token Revocation, an Internet-Draft; each provider has an address of its own, and
orders for its own users alone.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.config.providers import Provider
from bascule.identity.global_revocation import MAX_AGE_SECONDS, PATH, TYPES, ordered
from bascule.identity.notice import Expected, InvalidNoticeError
from bascule.provisioning.endpoint import body_of, plain, said
from bascule.provisioning.listener import Ending, Listener
from bascule.web.source import peer_of

WHY = "revoked by the identity provider"


class CallerError(InvalidNoticeError):
    """Nobody who may order it has asked."""


async def revoke_all(listener: Listener, request: Request, name: str) -> Response:
    """End all that a user has: 204, also when that is nothing."""
    listener.provider(name)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise CallerError("a JWT that the provider signed is missing")
    address = f"{listener.url}{PATH}/{name}"
    try:
        caller = await listener.hear(
            name, token.strip(), partial(_expected, address=address)
        )
    except InvalidNoticeError as exc:
        raise CallerError(str(exc)) from exc
    subjects = ordered(await body_of(request, "application/json"), caller)
    endings = [Ending(it, WHY) for it in subjects]
    if not await listener.end(name, caller, endings, peer=peer_of(request)):
        raise CallerError("it was shown before")
    return plain(204)


def problem(exc: InvalidNoticeError) -> Response:
    """Answer a caller that is none with 401, an order that is none with 400."""
    names = ("error", "error_description")
    if not isinstance(exc, CallerError):
        return said(400, "invalid_request", str(exc), names=names)
    answer = said(401, "invalid_token", str(exc), names=names)
    answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return answer


def _expected(provider: Provider, issuer: str, *, address: str) -> Expected:
    return Expected(
        provider=provider,
        issuer=issuer,
        types=TYPES,
        audience=address,
        max_age=MAX_AGE_SECONDS,
    )
