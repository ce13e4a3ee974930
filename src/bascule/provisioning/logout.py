"""`POST /login/backchannel/NAME`: somebody has signed out at a provider.

OpenID Connect Back-Channel Logout 1.0.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from bascule.config.providers import Provider
from bascule.identity.logout_token import MAX_AGE_SECONDS, TYPES, ended_by
from bascule.identity.notice import Expected, InvalidNoticeError
from bascule.provisioning.endpoint import body_of, plain, said
from bascule.provisioning.listener import Ending, Listener
from bascule.web.source import peer_of

PATH = "/login/backchannel"
FORM = "application/x-www-form-urlencoded"
WHY = "signed out at the identity provider"


async def log_out(listener: Listener, request: Request, name: str) -> Response:
    """End a session or all that a user has; 200 also when nothing of it is here (§2.7)."""
    listener.provider(name)
    token = _token(await body_of(request, FORM))
    notice = await listener.hear(name, token, _expected)
    subject, whose = ended_by(notice)
    ending = Ending(subject, WHY, whose)
    if not await listener.end(name, notice, [ending], peer=peer_of(request)):
        raise InvalidNoticeError("it was shown before")
    return plain(200)


def problem(exc: InvalidNoticeError) -> Response:
    """Answer a token that is none (§2.8)."""
    return said(400, "invalid_request", str(exc), names=("error", "error_description"))


def _token(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("ascii"), errors="strict", max_num_fields=8)
    except ValueError as exc:
        raise InvalidNoticeError("the form cannot be read") from exc
    tokens = fields.get("logout_token", [])
    if len(tokens) != 1:
        raise InvalidNoticeError("`logout_token` is missing, or stands twice")
    return tokens[0]


def _expected(provider: Provider, issuer: str) -> Expected:
    return Expected(
        provider=provider,
        issuer=issuer,
        types=TYPES,
        audience=provider.client_id,
        max_age=MAX_AGE_SECONDS,
    )
