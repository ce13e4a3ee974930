"""Client ID metadata documents: a client's id is the URL of what it says of itself.

draft-ietf-oauth-client-id-metadata-document-00, as MCP 2026-07-28 uses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bascule.config.addresses import web_address
from bascule.errors import BasculeError
from bascule.identity.client_keys import public_jwks
from bascule.identity.keys import BadKeyError
from bascule.identity.redirect_uri import redirect_uri_problem

MAX_BYTES = 5 << 10
MAX_URL_CHARACTERS = 255
MAX_REDIRECT_URIS = 20
MAX_NAME_CHARACTERS = 100
_DOT_SEGMENT = re.compile(r"(?i)/(\.|%2e){1,2}(/|$)")


class InvalidDocumentError(BasculeError):
    """The document is not what its client could be known by."""


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """What is kept of a document."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: Literal["none", "private_key_jwt"]
    jwks: str | None
    """Its public keys when they stand in it."""
    jwks_uri: str | None
    """Where its public keys are when they do not."""
    dpop_bound: bool
    """It always proves to hold a key (`dpop_bound_access_tokens`, RFC 9449 §5.2)."""


class _Document(msgspec.Struct):
    client_id: str
    client_name: str
    redirect_uris: list[str]
    token_endpoint_auth_method: str = "none"  # noqa: S105 - the name of a method
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ("code",)
    jwks: dict[str, Any] | UnsetType = UNSET
    jwks_uri: str | UnsetType = UNSET
    dpop_bound_access_tokens: bool = False
    client_secret: Any = UNSET
    client_secret_expires_at: Any = UNSET


_decoder = msgspec.json.Decoder(_Document)


def is_document_address(client_id: str) -> bool:
    """Tell whether a client id is meant as the address of a document."""
    return client_id.startswith(("https://", "http://"))


def address_problem(client_id: str, domains: tuple[str, ...] | None) -> str | None:
    """Say why no document is fetched from there; None when one may be.

    `domains` as in `clients.cimd_domains`; None allows every public host.
    """
    parts = web_address(client_id) if len(client_id) <= MAX_URL_CHARACTERS else None
    if parts is None or parts.scheme != "https" or "|" in client_id:
        return "must be an https URL"
    if parts.username is not None or parts.password is not None or "#" in client_id:
        return "must have neither user nor fragment"
    if parts.path in {"", "/"} or _DOT_SEGMENT.search(parts.path) is not None:
        return "must have a path without dot segments"
    if domains is not None and not _is_in(parts.hostname or "", domains):
        return "is of a host that `clients.cimd_domains` does not list"
    return None


def _is_in(host: str, domains: Iterable[str]) -> bool:
    host = host.lower()
    for domain in domains:
        if domain.startswith("*."):
            if host.endswith(domain[1:]):
                return True
        elif host == domain:
            return True
    return False


def parse_document(body: bytes, *, client_id: str) -> ClientDocument:
    """Read the document that was found at `client_id`.

    Raises `InvalidDocumentError`, and nothing else, for any bytes.
    """
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidDocumentError(f"it is no client metadata: {exc}") from exc
    if found.client_id != client_id:
        raise InvalidDocumentError("its `client_id` is not its address, letter by letter")
    name = " ".join(found.client_name.split())
    if not name or not name.isprintable():
        raise InvalidDocumentError("its `client_name` is no text")
    _check_redirects(found.redirect_uris)
    if "authorization_code" not in found.grant_types or "code" not in found.response_types:
        raise InvalidDocumentError("it does not use the authorization code flow")
    return ClientDocument(
        client_id,
        name[:MAX_NAME_CHARACTERS],
        tuple(found.redirect_uris),
        *_authentication(found),
        found.dpop_bound_access_tokens,
    )


def _check_redirects(uris: list[str]) -> None:
    if not 0 < len(uris) <= MAX_REDIRECT_URIS:
        raise InvalidDocumentError(f"it must have 1 to {MAX_REDIRECT_URIS} `redirect_uris`")
    if any(redirect_uri_problem(uri) is not None for uri in uris):
        raise InvalidDocumentError("one of its `redirect_uris` is not https or loopback")


def _authentication(
    found: _Document,
) -> tuple[Literal["none", "private_key_jwt"], str | None, str | None]:
    """Find out how it authenticates: a public document cannot hold a secret."""
    if found.client_secret is not UNSET or found.client_secret_expires_at is not UNSET:
        raise InvalidDocumentError("it holds a client secret, and everybody can read it")
    match found.token_endpoint_auth_method:
        case "none":
            return "none", None, None
        case "private_key_jwt":
            if (found.jwks is UNSET) == (found.jwks_uri is UNSET):
                raise InvalidDocumentError("it needs one of `jwks` and `jwks_uri`")
            if isinstance(found.jwks_uri, str):
                return "private_key_jwt", None, found.jwks_uri
            return "private_key_jwt", _public(found.jwks), None
        case _:
            raise InvalidDocumentError(
                "its `token_endpoint_auth_method` must be none or private_key_jwt"
            )


def _public(jwks: object) -> str:
    try:
        return public_jwks(msgspec.json.encode(jwks))
    except BadKeyError as exc:
        raise InvalidDocumentError(f"its `jwks` cannot be used: {exc}") from exc
