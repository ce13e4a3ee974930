"""`[connectors.NAME.credential]`: what Bascule shows a server, and how it comes by it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from bascule.config.table import SecretRef, Table

CredentialKind = Literal[
    "none",
    "static",
    "client_credentials",
    "workload",
    "token_exchange",
    "per_user",
    "id_jag",
]
TOKEN_KINDS = frozenset(
    {"client_credentials", "workload", "token_exchange", "per_user", "id_jag"}
)
"""Those that get a token from an authorization server."""
Scope = Annotated[str, Meta(pattern=r"^[!#-\[\]-~]{1,200}$")]


class Credential(Table, frozen=True):
    """`[connectors.NAME.credential]`: what Bascule shows; never the client's token."""

    kind: CredentialKind = "none"
    """`static` sends the same header with each request; `client_credentials` a token of
    Bascule's own; `workload` such a token for the identity that the platform gives Bascule;
    `token_exchange` one for the user, exchanged for a statement that Bascule
    signs; `per_user` one that the user got by connecting an account; `id_jag` one for the
    user, for whom the identity provider of their login vouches at `issuer`."""
    header: str = "Authorization"
    """Header that carries a static credential."""
    value: SecretRef | None = None
    """The whole value of that header, for instance `Bearer …`."""
    shared: bool = False
    """Several users may act upstream under this one credential."""
    issuer: str | None = None
    """The authorization server that tokens come from; for `per_user` absent: the one that
    the server names."""
    client_id: str | None = None
    """As which client Bascule is registered there; for `per_user` absent: by its own
    metadata document, else registered dynamically."""
    client_secret: SecretRef | None = None
    """What proves that client."""
    client_key: SecretRef | None = None
    """Private key that proves it instead (`private_key_jwt`): a JWK with its `alg`."""
    scopes: tuple[Scope, ...] = ()
    """Scopes to ask for; for `per_user` beside those that the server asks for."""
    audience: str | None = None
    """For `token_exchange`: the service that the token is for, where the authorization
    server wants its name (`audience`) and not its address (`resource`)."""
    assertion: SecretRef | None = None
    """For `workload`: the file where the platform puts the JWT of Bascule, read for each
    token."""
    dpop: bool = False
    """For `per_user`: tokens are bound to a key of the account, and each request proves it
    (RFC 9449); without it where the server's metadata demands that."""
    legacy: bool = False
    """For `per_user`: the server is of MCP 2025-03-26, without resource metadata, and its
    own origin is the authorization server."""

    @property
    def is_one_for_all(self) -> bool:
        """Whoever calls, the server sees the same identity."""
        return self.kind in {"static", "client_credentials", "workload"}

    @property
    def knows_users(self) -> bool:
        """The server sees who calls, and may serve each something else."""
        return self.kind in {"token_exchange", "per_user", "id_jag"}
