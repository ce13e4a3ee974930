"""What the authorization server says of itself (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bascule.authserver.pkce import METHOD
from bascule.authserver.server import AuthorizationServer
from bascule.authserver.token import GRANT_TYPES
from bascule.config.model import Config
from bascule.identity.authorization_details import TYPE
from bascule.identity.client_assertion import ALGORITHMS
from bascule.identity.global_revocation import PATH
from bascule.identity.id_jag import PROFILE
from bascule.identity.issuer_documents import ALGORITHMS as PROOF_ALGORITHMS
from bascule.identity.provider_profiles import profile_of

CONFIDENTIAL = ["private_key_jwt", "client_secret_basic", "client_secret_post"]


def metadata(issuer: str, config: Config) -> dict[str, object]:
    """Give the document; `issuer`: `server.public_url`.

    Without `scopes_supported`: some clients ask for all that stands there, and strangers
    would learn which connectors there are. Each resource's own metadata names its scope.
    """
    clients, tls = config.clients, config.server.tls
    by_certificate = ["tls_client_auth"] if config.agents.certificates else []
    confidential = CONFIDENTIAL + by_certificate
    document: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": [METHOD],
        "token_endpoint_auth_methods_supported": ["none", *confidential],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": ["none", *confidential],
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [TYPE],
        "dpop_signing_alg_values_supported": sorted(PROOF_ALGORITHMS),
        "client_id_metadata_document_supported": clients.cimd_domains != (),
    }
    if tls is not None and tls.client_ca is not None:
        document["tls_client_certificate_bound_access_tokens"] = True
    if any(provider.id_jag for provider in config.providers.values()):
        document["authorization_grant_profiles_supported"] = [PROFILE]
    orders = _global_revocation(issuer, config)
    if orders is not None:
        document["global_token_revocation_endpoint"] = orders
    if clients.dynamic_registration:
        document["registration_endpoint"] = f"{issuer}/oauth/register"
    return document


def _global_revocation(issuer: str, config: Config) -> str | None:
    """Give where all of a user's is revoked; None unless one provider alone can order it.

    The member has room for one address (Global Token Revocation, an Internet-Draft), and
    each provider has its own here.
    """
    providers = config.providers.items()
    signing = [name for name, it in providers if not profile_of(it).plain_oauth]
    return f"{issuer}{PATH}/{signing[0]}" if len(signing) == 1 else None


async def oauth_metadata(server: AuthorizationServer, _: Request) -> Response:
    """`GET /.well-known/oauth-authorization-server`."""
    return JSONResponse(metadata(server.issuer, server.config()))


async def openid_metadata(server: AuthorizationServer, _: Request) -> Response:
    """`GET /.well-known/openid-configuration`, for clients that look only there.

    ID tokens are not issued; the last two members are what that document must have.
    """
    return JSONResponse(
        {
            **metadata(server.issuer, server.config()),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["Ed25519"],
        }
    )
