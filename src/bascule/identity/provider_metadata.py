"""What an identity provider says of itself (OpenID Connect Discovery §3)."""

from __future__ import annotations

import re

import msgspec

from bascule.config.addresses import is_loopback, web_address
from bascule.config.providers import Provider
from bascule.identity.issuer_documents import BadDocumentError
from bascule.identity.provider_profiles import profile_of

WELL_KNOWN = "/.well-known/openid-configuration"
TENANT = "{tenantid}"
"""Place for the tenant, in the issuer of a provider that stands for many."""
TENANT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class ProviderMetadata(msgspec.Struct, frozen=True):
    """The part of it that is used."""

    issuer: str
    """With Entra's many tenants it has a place for the tenant."""
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""
    """Empty where there are no ID tokens."""
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    """Its answers name their issuer (RFC 9207 §3)."""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] | None = None
    """None when it does not say; several have PKCE and do not."""
    backchannel_logout_supported: bool = False

    def is_issuer(self, issuer: str) -> bool:
        """Tell whether users of an issuer are this provider's, one tenant's included."""
        before, place, after = self.issuer.partition(TENANT)
        if not place:
            return issuer == self.issuer
        tenant = issuer.removeprefix(before).removesuffix(after)
        whole = f"{before}{tenant}{after}"
        return issuer == whole and TENANT_ID.fullmatch(tenant) is not None


_decoder = msgspec.json.Decoder(ProviderMetadata)


def metadata_url(provider: Provider) -> str:
    """Give where a provider's metadata is (OpenID Connect Discovery §4.1)."""
    return provider.iss.rstrip("/") + WELL_KNOWN


def own_metadata(provider: Provider) -> ProviderMetadata | None:
    """Give the endpoints of a provider that publishes none, as GitHub; None for others."""
    if not profile_of(provider).plain_oauth:
        return None
    return ProviderMetadata(
        issuer=provider.iss,
        authorization_endpoint=f"{provider.iss}/authorize",
        token_endpoint=f"{provider.iss}/access_token",
        token_endpoint_auth_methods_supported=("client_secret_post",),
    )


def read_provider_metadata(document: bytes, provider: Provider) -> ProviderMetadata:
    """Read what a provider published.

    Its issuer must be the configured one, letter by letter (§4.3). Raises
    `BadDocumentError`, and nothing else, for any bytes.
    """
    try:
        found = _decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadDocumentError("the metadata cannot be read") from exc
    if found.issuer != _expected_issuer(provider):
        raise BadDocumentError(
            "the metadata is of another issuer: copy `issuer` from the provider's metadata"
        )
    addresses = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
    optional = (
        found.end_session_endpoint,
        found.revocation_endpoint,
        found.userinfo_endpoint,
    )
    if not all(map(_is_endpoint, (*addresses, *(it for it in optional if it is not None)))):
        raise BadDocumentError("an endpoint in the metadata is no https address")
    return found


def _expected_issuer(provider: Provider) -> str:
    if not provider.many_tenants:
        return provider.iss
    origin, _, _ = provider.iss.rstrip("/").rpartition("/")
    return f"{origin.rpartition('/')[0]}/{TENANT}/v2.0"


def _is_endpoint(text: str) -> bool:
    url = web_address(text)
    if url is None or url.username is not None or url.fragment:
        return False
    return url.scheme == "https" or is_loopback(url.hostname or "")
