"""Where tokens for a resource come from: RFC 9728, then RFC 8414 or OpenID discovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from bascule.config.addresses import web_address
from bascule.net.addresses import spells_loopback
from bascule.net.fetch import FetchError, FetchPolicy, fetch
from bascule.oauthclient.challenge import Challenge
from bascule.oauthclient.errors import ServerUnavailableError, UnusableServerError

MEDIA_TYPES = frozenset({"application/json"})
MAX_BYTES = 64 << 10
_RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
T = TypeVar("T")


class ProtectedResource(msgspec.Struct, frozen=True):
    """What a resource says of itself (RFC 9728 §2)."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] | None = None
    dpop_bound_access_tokens_required: bool = False
    dpop_signing_alg_values_supported: tuple[str, ...] = ()


class AuthorizationServer(msgspec.Struct, frozen=True):
    """What an authorization server says of itself (RFC 8414 §2); names as on the wire."""

    issuer: str
    token_endpoint: str | None = None
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False
    client_id_metadata_document_supported: bool = False
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    backchannel_logout_supported: bool = False


_read_resource = msgspec.json.Decoder(ProtectedResource).decode
_read_server = msgspec.json.Decoder(AuthorizationServer).decode
_ENDPOINTS = tuple(
    name
    for name in AuthorizationServer.__struct_fields__
    if name.endswith("_endpoint") or name == "jwks_uri"
)


def resource_metadata_addresses(url: str) -> tuple[str, ...]:
    """Give where a resource without a better word describes itself (RFC 9728 §3.1)."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    places = (f"{origin}{_RESOURCE_METADATA}{path}{query}", f"{origin}{_RESOURCE_METADATA}")
    return tuple(dict.fromkeys(places))


def server_metadata_addresses(issuer: str) -> tuple[str, ...]:
    """Give where an issuer's metadata may be, in the order to ask (RFC 8414 §3, §5)."""
    parts = urlsplit(issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    inserted = tuple(
        f"{origin}/.well-known/{name}{path}"
        for name in ("oauth-authorization-server", "openid-configuration")
    )
    return (
        (*inserted, f"{origin}{path}/.well-known/openid-configuration")
        if path
        else inserted
    )


async def protected_resource(
    url: str, challenge: Challenge | None, policy: FetchPolicy
) -> ProtectedResource | None:
    """Give what the resource at `url` says of itself.

    From where its challenge says, else from the places for its path and its host. None when
    it says nothing anywhere: it is older than RFC 9728. The challenge's address is a
    stranger's: `policy` decides where a request may go. Raises `UnusableServerError` when
    what it says is of another resource, or names no authorization server, and
    `ServerUnavailableError` when there is nothing where the challenge says.
    """
    named = challenge.resource_metadata if challenge is not None else None
    places = resource_metadata_addresses(url) if named is None else (named,)
    document = await _first(places, policy)
    if document is None and named is None:
        return None
    if document is None:
        raise ServerUnavailableError("the metadata that the challenge names cannot be had")
    found = _decoded(_read_resource, document, "the metadata of the resource")
    if not is_same_resource(found.resource, url):
        raise UnusableServerError("the metadata is of another resource than was asked")
    if not found.authorization_servers:
        raise UnusableServerError("the resource names no authorization server")
    return found


def is_same_resource(named: str, url: str) -> bool:
    """Tell whether metadata may speak for `url` (RFC 9728 §3.3, MCP 2026-07-28).

    It names that address, or one above it on the same origin: a server may have one
    identifier for all its paths.
    """
    theirs, ours = web_address(named), web_address(url)
    if theirs is None or ours is None or theirs.fragment:
        return False
    if _origin(theirs) != _origin(ours) or theirs.query not in {"", ours.query}:
        return False
    return f"{ours.path.rstrip('/')}/".startswith(f"{theirs.path.rstrip('/')}/")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


async def authorization_server(
    issuer: str,
    policy: FetchPolicy,
    *,
    places: Sequence[str] = (),
    published_issuer: str | None = None,
) -> AuthorizationServer:
    """Give what an authorization server says of itself.

    `places`: where to look instead of the usual ones; `published_issuer`: what the document
    says instead of `issuer`, letter by letter, for providers whose document serves several.
    Raises `UnusableServerError` when the document is of another issuer (RFC 8414 §3.3), or
    has an endpoint that is no https URL, and `ServerUnavailableError` when there is none.
    """
    if web_address(issuer) is None:
        raise UnusableServerError("the issuer is no URL")
    document = await _first(places or server_metadata_addresses(issuer), policy)
    if document is None:
        raise ServerUnavailableError(
            "the metadata of the authorization server cannot be had"
        )
    found = _decoded(_read_server, document, "the metadata of the authorization server")
    if found.issuer != (issuer if published_issuer is None else published_issuer):
        raise UnusableServerError("the metadata is of another issuer than was asked")
    for name in _ENDPOINTS:
        address = getattr(found, name)
        if address is not None and not is_allowed_endpoint(address, policy):
            raise UnusableServerError(f"its `{name}` is no https URL")
    return found


def is_allowed_endpoint(url: str, policy: FetchPolicy) -> bool:
    """Tell whether a browser or request may go there: https, or what `policy` allows.

    Never another scheme: the address goes into `Location` and onto pages.
    """
    parts = web_address(url)
    if parts is None or parts.username is not None or parts.fragment:
        return False
    near = policy.loopback and spells_loopback(parts.hostname or "")
    return parts.scheme == "https" or near or policy.cleartext


async def _first(places: Sequence[str], policy: FetchPolicy) -> bytes | None:
    """Give the first document that is anywhere; None when it is nowhere."""
    policy = replace(policy, media_types=MEDIA_TYPES, max_bytes=MAX_BYTES)
    for place in places:
        with suppress(FetchError):
            return (await fetch(place, policy)).body
    return None


def _decoded(read: Callable[[bytes], T], document: bytes, what: str) -> T:
    try:
        return read(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise UnusableServerError(f"{what} cannot be read") from exc
