"""The authorization code flow as a client: where to send the user, what comes back.

RFC 6749 §4.1 with PKCE (RFC 7636), resource indicators (RFC 8707) and the issuer in the
response (RFC 9207), as MCP 2026-07-28 wants them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.errors import OAuthClientError, UnusableServerError
from bascule.oauthclient.token_endpoint import request_token
from bascule.oauthclient.tokens import Tokens, read_tokens

MAX_RESPONSE_CHARACTERS = 8 << 10
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")


class ForeignResponseError(OAuthClientError):
    """A response is not the answer to the request: of another server, or forged.

    What it says is worth nothing, and must not be shown.
    """


class AuthorizationRefusedError(OAuthClientError):
    """The user, or the server, said no."""

    def __init__(self, error: str) -> None:
        super().__init__(f"the authorization server refused: `{error}`")
        self.error = error
        """The code (RFC 6749 §4.1.2.1), or `unknown_error` where it was no code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is kept of a request until its response comes; only for the browser that asked.

    Serialisable as it is; whoever keeps it keeps `state` hashed or sealed, `verifier` too.
    """

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str | None = field(repr=False, default=None)
    """What the ID token must repeat (OpenID Connect Core §3.1.2.1)."""
    issuer: str
    """Who alone may answer."""
    names_issuer: bool
    """It said that its responses name it (RFC 9207 §3), so that one without is not its."""
    client_id: str
    redirect_uri: str
    resource: str | None
    scopes: tuple[str, ...]


def begin_authorization(
    server: AuthorizationServer,
    client: Client,
    *,
    redirect_uri: str,
    scopes: Iterable[str],
    resource: str | None,
    entropy: Entropy,
    with_nonce: bool = False,
    assume_pkce: bool = False,
    extra: Mapping[str, str] | None = None,
) -> tuple[str, Pending]:
    """Give the address to send the user's browser to, and what to keep until it is back.

    `assume_pkce`: the operator knows that the server checks S256 although it does not say;
    without it such a server is refused (MCP 2026-07-28). `extra`: parameters of a provider;
    they replace none of ours. Raises `UnusableServerError`.
    """
    if server.authorization_endpoint is None:
        raise UnusableServerError("the authorization server has no authorization endpoint")
    if not assume_pkce and "S256" not in (server.code_challenge_methods_supported or ()):
        raise UnusableServerError(
            "the authorization server does not say that it checks PKCE"
        )
    client.require_issuer(server)
    pending = Pending(
        state=_random(entropy),
        verifier=_random(entropy),
        nonce=_random(entropy) if with_nonce else None,
        issuer=server.issuer,
        names_issuer=server.authorization_response_iss_parameter_supported,
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        resource=resource,
        scopes=tuple(scopes),
    )
    endpoint = server.authorization_endpoint
    query = urlencode({**(extra or {}), **_parameters(pending)})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}", pending


def _parameters(pending: Pending) -> dict[str, str]:
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    wanted = {
        "response_type": "code",
        "client_id": pending.client_id,
        "redirect_uri": pending.redirect_uri,
        "state": pending.state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "resource": pending.resource,
        "scope": " ".join(pending.scopes) or None,
        "nonce": pending.nonce,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def read_response(query: str, pending: Pending) -> str:
    """Give the code that a redirect brought back; `query` without its question mark.

    The state first, then the issuer, then what it says: nothing of a response that is not
    the answer is looked at. Letter by letter, without normalisation (RFC 9207 §2.4). Raises
    `ForeignResponseError` and `AuthorizationRefusedError`, and nothing else, for any text.
    """
    found = _read_query(query)
    state = found.get("state", "")
    if not hmac.compare_digest(state.encode(), pending.state.encode()):
        raise ForeignResponseError("the response is not for this request")
    issuer = found.get("iss")
    if issuer is None and pending.names_issuer:
        raise ForeignResponseError("the response does not name its issuer, as it must")
    if issuer is not None and issuer != pending.issuer:
        raise ForeignResponseError("the response is of another issuer")
    if "error" in found:
        error = found["error"]
        known = _CODE.fullmatch(error) is not None
        raise AuthorizationRefusedError(error if known else "unknown_error")
    if not found.get("code"):
        raise ForeignResponseError("the response holds neither a code nor an error")
    return found["code"]


def _read_query(query: str) -> dict[str, str]:
    if len(query) > MAX_RESPONSE_CHARACTERS:
        raise ForeignResponseError("the response is too long")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    except ValueError as exc:
        raise ForeignResponseError("the response cannot be read") from exc
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ForeignResponseError("a parameter of the response stands twice")
    return found


async def redeem_code(
    server: AuthorizationServer,
    client: Client,
    code: str,
    pending: Pending,
    policy: FetchPolicy,
    *,
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Tokens:
    """Exchange a code for tokens (RFC 6749 §4.1.3), at the server that was asked alone.

    Raises as `request_token` does.
    """
    if server.issuer != pending.issuer or client.client_id != pending.client_id:
        raise UnusableServerError("the code is of another request")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": pending.redirect_uri,
        "code_verifier": pending.verifier,
        "resource": pending.resource,
    }
    answer = await request_token(
        server, client, form, policy, now=now, entropy=entropy, prover=prover
    )
    return read_tokens(answer, asked=pending.scopes, now=now)


async def refresh(
    server: AuthorizationServer,
    client: Client,
    refresh_token: str,
    policy: FetchPolicy,
    *,
    resource: str | None,
    held: Sequence[str],
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Tokens:
    """Exchange a refresh token for new tokens (RFC 6749 §6); `held`: the scopes it has.

    The result always has a refresh token: the new one, else the one that was given, which
    then stays good. Raises as `request_token` does; after `ServerUnavailableError` the old
    one may be spent or not, so try it again.
    """
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "resource": resource,
    }
    answer = await request_token(
        server, client, form, policy, now=now, entropy=entropy, prover=prover
    )
    tokens = read_tokens(answer, asked=held, now=now)
    return replace(tokens, refresh_token=tokens.refresh_token or refresh_token)


def _random(entropy: Entropy) -> str:
    """Give 256 bits as 43 characters, as a verifier must have (RFC 7636 §4.1)."""
    return base64.urlsafe_b64encode(entropy(32)).rstrip(b"=").decode()
