"""Who Bascule is at an authorization server, and how it proves that (RFC 6749 §2.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import quote_plus

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bascule.clock import Entropy, UnixTime
from bascule.identity.client_assertion import ALGORITHMS
from bascule.identity.keys import BadKeyError
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import UnusableServerError

Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
METHODS: tuple[str, ...] = get_args(Method)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
USUAL_METHODS = ("client_secret_basic",)
"""Where the server does not say (RFC 8414 §2)."""


@dataclass(frozen=True, slots=True)
class AssertionKey:
    """A private key that signs assertions."""

    key: OKPKey | ECKey | RSAKey = field(repr=False)
    algorithm: str
    """`Ed25519`, `EdDSA`, `ES256`, `ES384`, `PS256` or `RS256`."""
    header: Mapping[str, object] = field(default_factory=dict)
    """Names the key for the server: `kid`, or `x5t#S256`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client identity, with what proves it. Its secret goes to its own issuer alone."""

    client_id: str
    issuer: str | None
    """Whom it is registered with; None for one that is good anywhere (a client id metadata
    document), which has no secret."""
    secret: str | None = field(repr=False, default=None)
    key: AssertionKey | None = None
    method: Method | None = None
    """As it was registered; None to choose by what the server offers."""
    audience: Literal["issuer", "token_endpoint"] = "issuer"
    """`aud` of its assertions. The issuer (RFC 7523bis) unless the server is older."""

    def require_issuer(self, server: AuthorizationServer) -> None:
        """Raise `UnusableServerError` at another server than it is registered with."""
        if self.issuer is not None and self.issuer != server.issuer:
            raise UnusableServerError("the client is registered with another issuer")
        if self.issuer is None and self.secret is not None:
            raise UnusableServerError("a client with a secret needs its issuer")


def authentication_method(client: Client, server: AuthorizationServer) -> Method:
    """Choose how to authenticate: as registered, else the strongest that both know.

    Raises `UnusableServerError` when what the client holds is of no use there.
    """
    if client.method is not None:
        return client.method
    if client.key is None and client.secret is None:
        return "none"
    if client.key is not None:  # listed or not: the server was told the key
        return "private_key_jwt"
    offered = server.token_endpoint_auth_methods_supported or USUAL_METHODS
    methods: tuple[Method, ...] = ("client_secret_basic", "client_secret_post")
    for method in methods:
        if method in offered:
            return method
    raise UnusableServerError("the server offers no way to authenticate with a secret")


def authenticated(
    client: Client, server: AuthorizationServer, *, now: UnixTime, entropy: Entropy
) -> tuple[dict[str, str], dict[str, str]]:
    """Give form parameters and headers that prove the client at the token endpoint.

    Raises `UnusableServerError`.
    """
    client.require_issuer(server)
    match authentication_method(client, server):
        case "none":
            return {"client_id": client.client_id}, {}
        case "client_secret_basic":
            return {}, {"Authorization": _basic(client.client_id, _secret(client))}
        case "client_secret_post":
            return {"client_id": client.client_id, "client_secret": _secret(client)}, {}
        case "private_key_jwt":
            assertion = client_assertion(client, server, now=now, entropy=entropy)
            return {
                "client_id": client.client_id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }, {}


def client_assertion(
    client: Client, server: AuthorizationServer, *, now: UnixTime, entropy: Entropy
) -> str:
    """Sign an assertion that is good once, at that server, for a minute (RFC 7523 §3)."""
    if client.key is None:
        raise UnusableServerError("`private_key_jwt` needs a private key")
    endpoint = client.audience == "token_endpoint"
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": server.token_endpoint if endpoint else server.issuer,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": entropy(16).hex(),
    }
    return signed(claims, client.key, typ="JWT")


def signed(claims: Mapping[str, object], key: AssertionKey, *, typ: str) -> str:
    """Sign claims as a JWT."""
    header = {"alg": key.algorithm, "typ": typ, **key.header}
    return jwt.encode(header, dict(claims), key.key, algorithms=[key.algorithm])


def read_assertion_key(jwk: str) -> AssertionKey:
    """Read a private JWK (RFC 7517) that says its `alg`. Raises `BadKeyError`."""
    try:
        document = msgspec.json.decode(jwk, type=dict[str, Any])
        kind: dict[object, type[OKPKey | ECKey | RSAKey]]
        kind = {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}
        key = kind[document["kty"]].import_key(document)
        algorithm = document["alg"]
        if not key.is_private or algorithm not in ALGORITHMS:
            raise BadKeyError(
                "`client_key` must be a private key whose `alg` is asymmetric"
            )
    except (msgspec.DecodeError, JoseError, KeyError, ValueError, TypeError) as exc:
        raise BadKeyError(
            "`client_key` must be a private JWK with `kty` and `alg`"
        ) from exc
    kid = document.get("kid", key.thumbprint())
    return AssertionKey(key, algorithm, {"kid": str(kid)})


def _secret(client: Client) -> str:
    if client.secret is None:
        raise UnusableServerError("the client has no secret to authenticate with")
    return client.secret


def _basic(client_id: str, secret: str) -> str:
    """Write both form-encoded, as RFC 6749 §2.3.1 wants, then as RFC 7617 does."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
