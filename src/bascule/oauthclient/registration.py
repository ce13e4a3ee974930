"""Which client Bascule is at a server: registered before, by its document, or dynamically.

The order of MCP 2026-07-28. What was registered belongs to that issuer and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec

from bascule.net.fetch import FetchError, FetchPolicy
from bascule.net.post import send
from bascule.oauthclient.client import METHODS, AssertionKey, Client, Method
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import (
    GrantRefusedError,
    ServerUnavailableError,
    UnusableServerError,
)

MAX_BYTES = 64 << 10
MAX_CHARACTERS = 4096
"""Of a client id or secret that a server made up."""
_PREFERRED: tuple[Method, ...] = ("client_secret_basic", "client_secret_post", "none")


class _Registered(msgspec.Struct):
    client_id: str
    client_secret: str | None = None
    client_secret_expires_at: Any = 0
    token_endpoint_auth_method: str | None = None


_decode = msgspec.json.Decoder(_Registered).decode


def client_metadata(
    *,
    name: str,
    redirect_uris: Sequence[str],
    application_type: Literal["web", "native"],
    scopes: Sequence[str] = (),
    method: Method = "none",
) -> dict[str, object]:
    """Give what Bascule says of itself (RFC 7591 §2), for a registration or a document."""
    metadata: dict[str, object] = {
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": application_type,
        "token_endpoint_auth_method": method,
    }
    return {**metadata, "scope": " ".join(scopes)} if scopes else metadata


def document_client(address: str, key: AssertionKey | None = None) -> Client:
    """Give the client whose id is the address of its document (CIMD), good at any server.

    `key`: the document says `private_key_jwt`, and holds its public part.
    """
    method: Method = "none" if key is None else "private_key_jwt"
    return Client(client_id=address, issuer=None, key=key, method=method)


async def register(
    server: AuthorizationServer, metadata: dict[str, object], policy: FetchPolicy
) -> Client:
    """Register dynamically (RFC 7591 §3), with an authentication that the server offers.

    Raises `GrantRefusedError` when it says no, `ServerUnavailableError`, and
    `UnusableServerError` when it takes no registrations: then the operator has to register
    Bascule there, and configure the client.
    """
    if server.registration_endpoint is None:
        raise UnusableServerError(
            "the authorization server takes no registrations: register Bascule there and "
            "configure `client_id`"
        )
    offered = server.token_endpoint_auth_methods_supported or ("client_secret_basic",)
    method: Method = next((it for it in _PREFERRED if it in offered), "none")
    body = msgspec.json.encode({**metadata, "token_endpoint_auth_method": method})
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    policy = replace(policy, max_bytes=MAX_BYTES)
    try:
        async with send(
            "POST", server.registration_endpoint, headers, body, policy
        ) as reply:
            status, said = reply.status, await reply.body()
    except FetchError as exc:
        raise ServerUnavailableError(f"the registration endpoint: {exc}") from exc
    if status in {400, 401, 403}:
        raise GrantRefusedError("invalid_client_metadata")
    if status not in {200, 201}:
        raise ServerUnavailableError(f"the registration endpoint answers with {status}")
    return _registered(said, server.issuer, method)


async def is_forgotten(url: str, policy: FetchPolicy) -> bool:
    """Tell whether a server does not know the client of an authorization request.

    It then says so on a page of its own, with an error status, and sends nobody back
    (RFC 6749 §4.1.2.1). `url`: of a request that is made for this alone. A server that does
    not answer tells nothing.
    """
    try:
        async with send("GET", url, {"Accept": "text/html"}, b"", policy) as reply:
            return reply.status in {400, 401} and "location" not in reply.headers
    except FetchError:
        return False


def _registered(said: bytes, issuer: str, asked: Method) -> Client:
    """Read what was registered; the server may have changed what it was asked for."""
    try:
        found = _decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ServerUnavailableError("the registration's answer cannot be read") from exc
    for text in (found.client_id, found.client_secret):
        if text is not None and not 0 < len(text) <= MAX_CHARACTERS:
            raise ServerUnavailableError("the registration's answer is not usable")
    method = found.token_endpoint_auth_method or asked
    if method not in METHODS or method == "private_key_jwt":
        raise UnusableServerError(
            "the server registered a way to authenticate not asked for"
        )
    if method != "none" and found.client_secret is None:
        raise UnusableServerError(
            "the server registered a client with a secret, without one"
        )
    return Client(
        client_id=found.client_id,
        issuer=issuer,
        secret=None if method == "none" else found.client_secret,
        method=method,  # type: ignore[arg-type]  # checked against METHODS
    )
