"""`POST /oauth/register` (RFC 7591): off unless `clients.dynamic_registration` is set.

MCP keeps it for older clients. Whoever registers is nobody in particular: such a client is
never verified, asks users each time, and is forgotten when it is not used.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.endpoint import json_response
from bascule.authserver.errors import (
    InvalidClientMetadataError,
    InvalidRedirectUriError,
    InvalidRequestError,
    OAuthError,
    RegistrationOffError,
    TooManyRequestsError,
    UnavailableError,
)
from bascule.authserver.server import CLIENT_SECRET_PREFIX, AuthorizationServer, digest_of
from bascule.clock import UnixTime, monotonic
from bascule.identity.client_registration import (
    MAX_BYTES,
    BadRegistrationError,
    Registration,
    parse_registration,
    registered_keys,
)
from bascule.storage import agents
from bascule.storage.store import Transaction
from bascule.web.source import peer_of, source_of

UNUSED_SECONDS = 3600
"""So long a client has for its first token; afterwards see `KEEP_REGISTRATION_SECONDS`."""
MAX_CLIENTS = 1000
"""Clients that registered themselves, at a time."""
PER_MINUTE = 10
"""Registrations from one address."""
MAX_SOURCES = 1000
ID_BYTES = 16


class Turnstile:
    """Counts registrations by address and minute, in this process."""

    def __init__(self) -> None:
        self._recent: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def passes(self, source: str) -> bool:
        """Count one; False when there were too many."""
        now = monotonic()
        since, count = self._recent.pop(source, (now, 0))
        if now - since >= 60:
            since, count = now, 0
        self._recent[source] = since, count + 1
        while len(self._recent) > MAX_SOURCES:
            self._recent.popitem(last=False)
        return count < PER_MINUTE


async def register(
    turnstile: Turnstile, server: AuthorizationServer, request: Request
) -> Response:
    """Register a client. Raises `OAuthError`."""
    if not server.config().clients.dynamic_registration:
        raise RegistrationOffError("clients cannot register themselves here")
    if not turnstile.passes(source_of(request)):
        raise TooManyRequestsError("too many registrations: try again in a minute")
    found, keys = _read(await _body(request))
    if not await server.store.look(partial(_has_room, now=server.clock())):
        # Before the record: strangers must not fill the log with what does not happen.
        raise UnavailableError("too many clients have registered")
    client_id = f"dcr-{server.entropy(ID_BYTES).hex()}"
    by_secret = found.token_endpoint_auth_method.startswith("client_secret")
    secret = server.new_secret(CLIENT_SECRET_PREFIX) if by_secret else None
    await server.records.event(
        "client.register",
        peer=peer_of(request),
        agent=client_id,
        admin={
            "name": found.client_name,
            "redirect_uris": " ".join(found.redirect_uris)[:2000],
            "authenticates": found.token_endpoint_auth_method,
        },
    )
    now = server.clock()
    add = partial(_add, client_id=client_id, found=found, secret=secret, keys=keys, now=now)
    if not await server.change(add):
        raise UnavailableError("too many clients have registered")
    return json_response(_registered(client_id, found, secret, now), 201)


async def _body(request: Request) -> bytes:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if media != "application/json" or len(body) > MAX_BYTES:
        raise InvalidRequestError("send the metadata as application/json, 16 KB at most")
    return body


def _read(body: bytes) -> tuple[Registration, str | None]:
    try:
        found = parse_registration(body)
        return found, registered_keys(found)
    except BadRegistrationError as exc:
        by_redirect = exc.parameter == "redirect_uris"
        error: type[OAuthError] = (
            InvalidRedirectUriError if by_redirect else InvalidClientMetadataError
        )
        raise error(str(exc)) from exc


def _has_room(conn: Transaction, *, now: UnixTime) -> bool:
    return agents.count_dynamic(conn, now=now) < MAX_CLIENTS


def _add(
    conn: Transaction,
    *,
    client_id: str,
    found: Registration,
    secret: str | None,
    keys: str | None,
    now: UnixTime,
) -> bool:
    """Add the client unless there are too many; forgotten ones make room."""
    agents.forget_expired(conn, now=now)
    if not _has_room(conn, now=now):
        return False
    return agents.add(
        conn,
        client_id=client_id,
        secret_hash=None if secret is None else digest_of(secret),
        jwks=keys,
        redirect_uris=found.redirect_uris,
        now=now,
        origin="dynamic",
        name=found.client_name,
        expires_at=UnixTime(now + UNUSED_SECONDS),
        dpop_bound=found.dpop_bound_access_tokens,
    )


def _registered(
    client_id: str, found: Registration, secret: str | None, now: UnixTime
) -> dict[str, object]:
    """Write what was registered, which may be less than was asked for (§3.2.1)."""
    document: dict[str, object] = {
        "client_id": client_id,
        "client_id_issued_at": now,
        "client_name": found.client_name,
        "redirect_uris": found.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": found.token_endpoint_auth_method,
        "dpop_bound_access_tokens": found.dpop_bound_access_tokens,
    }
    if found.application_type is not msgspec.UNSET:
        document["application_type"] = found.application_type
    if secret is not None:
        # It does not expire of itself; the client is forgotten when it is not used.
        document |= {"client_secret": secret, "client_secret_expires_at": 0}
    return document
