"""`POST /signals/NAME`: security events that a provider pushes (RFC 8935, SSF 1.0)."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import Response

from bascule.config.providers import Provider, Signals
from bascule.identity.notice import Expected, InvalidNoticeError
from bascule.identity.security_events import MAX_AGE_SECONDS, TYPES, events_of
from bascule.oauthclient.openid import NoSuchProviderError
from bascule.provisioning.endpoint import body_of, plain, said
from bascule.provisioning.listener import Ending, Listener
from bascule.web.source import peer_of

PATH = "/signals"
MEDIA_TYPE = "application/secevent+jwt"


async def take_events(listener: Listener, request: Request, name: str) -> Response:
    """Take one token of events: 202, when all that they do here is done (§2.2).

    One that was taken before is confirmed again, and does nothing.
    """
    signals = listener.provider(name).signals
    if signals is None:
        raise NoSuchProviderError("no events of that provider are taken")
    _authenticate(listener, signals, request)
    body = await body_of(request, MEDIA_TYPE)
    token = body.decode("ascii", "replace").strip()
    notice = await listener.hear(name, token, _expected)
    endings = [
        Ending(subject, f"security event {event.type}")
        for event in events_of(notice, signals)
        for subject in event.subjects
    ]
    await listener.end(name, notice, endings, peer=peer_of(request))
    return plain(202)


def problem(exc: InvalidNoticeError) -> Response:
    """Answer a token that is none (§2.3, §2.4)."""
    status = 401 if exc.error == "authentication_failed" else 400
    return said(status, exc.error, str(exc), names=("err", "description"))


def _authenticate(listener: Listener, signals: Signals, request: Request) -> None:
    if signals.authorization is None:
        return
    wanted = listener.secret(signals.authorization).strip().encode()
    given = request.headers.get("authorization", "").encode("latin-1")
    if not hmac.compare_digest(wanted, given):
        raise InvalidNoticeError("`Authorization` is another", "authentication_failed")


def _expected(provider: Provider, issuer: str) -> Expected:
    signals = provider.signals or Signals()
    return Expected(
        provider=provider,
        issuer=issuer,
        types=TYPES,
        audience=signals.audience or provider.client_id,
        max_age=MAX_AGE_SECONDS,
        also_issuer=signals.issuer,
    )
