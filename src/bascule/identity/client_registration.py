"""What a client says of itself when it registers (RFC 7591 §2)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bascule.errors import BasculeError
from bascule.identity.client_document import MAX_NAME_CHARACTERS, MAX_REDIRECT_URIS
from bascule.identity.client_keys import public_jwks
from bascule.identity.keys import BadKeyError
from bascule.identity.redirect_uri import is_local, redirect_uri_problem

MAX_BYTES = 16 << 10
Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]


class BadRegistrationError(BasculeError):
    """The metadata cannot be registered; `parameter` is to blame, if one is."""

    def __init__(self, sentence: str, *, parameter: str | None = None) -> None:
        super().__init__(sentence)
        self.parameter = parameter


class Registration(msgspec.Struct):
    """What is read; all else is ignored, as §2 wants."""

    redirect_uris: list[str] = []
    client_name: str = "an app without a name"
    token_endpoint_auth_method: Method = "client_secret_basic"  # noqa: S105 - a method
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ("code",)
    application_type: Literal["web", "native"] | UnsetType = UNSET
    jwks: dict[str, Any] | UnsetType = UNSET
    dpop_bound_access_tokens: bool = False
    """RFC 9449 §5.2."""


_decoder = msgspec.json.Decoder(Registration)


def parse_registration(body: bytes) -> Registration:
    """Read and check a registration; its name and keys come back as they are kept.

    Raises `BadRegistrationError`, and nothing else, for any bytes.
    """
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRegistrationError("the body is no client metadata") from exc
    _check_redirects(found)
    if "authorization_code" not in found.grant_types or "code" not in found.response_types:
        raise BadRegistrationError("only the authorization code flow can be registered")
    name = " ".join(found.client_name.split())[:MAX_NAME_CHARACTERS]
    if not name or not name.isprintable():
        raise BadRegistrationError("`client_name` is no text", parameter="client_name")
    found.client_name = name
    return found


def _check_redirects(found: Registration) -> None:
    """Hold redirect URIs to what MCP and the kind of application allow."""
    uris = found.redirect_uris
    if not 0 < len(uris) <= MAX_REDIRECT_URIS:
        raise BadRegistrationError(
            f"1 to {MAX_REDIRECT_URIS} `redirect_uris` are needed",
            parameter="redirect_uris",
        )
    for uri in uris:
        problem = redirect_uri_problem(uri)
        if problem is None and found.application_type == "web" and is_local(uri):
            problem = "of a web application must not be local"
        if problem is not None:
            raise BadRegistrationError(
                f"a redirect URI {problem}", parameter="redirect_uris"
            )


def registered_keys(found: Registration) -> str | None:
    """Give the public keys of a client that uses them. Raises `BadRegistrationError`."""
    if found.token_endpoint_auth_method != "private_key_jwt":  # noqa: S105 - a method
        return None
    if found.jwks is UNSET:
        raise BadRegistrationError("`private_key_jwt` needs `jwks`", parameter="jwks")
    try:
        return public_jwks(msgspec.json.encode(found.jwks))
    except BadKeyError as exc:
        raise BadRegistrationError(f"`jwks`: {exc}", parameter="jwks") from exc
