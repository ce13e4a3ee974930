"""What is peculiar to identity providers, by whose product they are: all of it is data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bascule.config.providers import Provider, ProviderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How providers of one kind differ from OpenID Connect as it is written."""

    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What is asked for, so that there are groups and a refresh token."""
    asks: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of the authorization request."""
    groups_claim: str = "groups"
    """Where its ID tokens name groups."""
    issuers: frozenset[str] = frozenset()
    """Further spellings of its issuer in ID tokens; its users are under the real one."""
    external_id: str = ""
    """Claim by which its provisioning calls a user; empty: nothing says."""
    token_claims: Mapping[str, str] = field(default_factory=dict)
    """Claims by which it tells ID tokens from its other tokens."""
    domain_claim: str = ""
    """Claim that vouches for the company that an account belongs to."""
    overage: Literal["", "graph"] = ""
    """Whom to ask for the groups when they were too many for a token."""
    api: str = ""
    """Where that API is, if the configuration does not say."""
    logout: Literal["openid", "cognito", "none"] = "openid"
    """How a user is signed out there: OpenID RP-Initiated Logout, Cognito's own way, or
    not at all."""
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"
    """What `aud` of a client assertion must be there."""
    userinfo: bool = True
    """Whether its user info may hold groups that the ID token does not."""
    plain_oauth: bool = False
    """It has no ID tokens and no metadata: who signed in is asked of its API."""


_OFFLINE = ("openid", "profile", "email", "offline_access")

PROFILES: Mapping[ProviderKind, Profile] = {
    # Offline access is only given with a consent (OpenID Connect Core §11).
    "oidc": Profile(scopes=_OFFLINE, asks={"prompt": "consent"}),
    # Groups are claims of the tenant's own, named by a URL.
    "auth0": Profile(scopes=_OFFLINE, external_id="sub"),
    # Refresh tokens come unasked; `offline_access` is an error.
    "cognito": Profile(
        groups_claim="cognito:groups",
        token_claims={"token_use": "id"},
        logout="cognito",
        userinfo=False,
    ),
    # The access token must be for Graph, in case that the groups are too many.
    "entra": Profile(
        scopes=(*_OFFLINE, "https://graph.microsoft.com/User.Read"),
        external_id="oid",
        overage="graph",
        assertion_audience="token_endpoint",
        userinfo=False,
        api="https://graph.microsoft.com/v1.0",
    ),
    "github": Profile(
        scopes=("read:user", "read:org"),
        api="https://api.github.com",
        logout="none",
        plain_oauth=True,
    ),
    # No groups; a refresh token only with a consent, and not by a scope.
    "google": Profile(
        asks={"access_type": "offline", "prompt": "consent"},
        issuers=frozenset({"accounts.google.com"}),
        domain_claim="hd",
        logout="none",
        userinfo=False,
    ),
    # Its `offline_access` would outlive the session: logout is to end refresh tokens.
    "keycloak": Profile(token_claims={"typ": "ID"}, external_id="sub"),
    "okta": Profile(
        scopes=(*_OFFLINE, "groups"),
        external_id="sub",
        assertion_audience="token_endpoint",
    ),
    # Refresh tokens are a setting of the application; `offline_access` is an error.
    "ping": Profile(external_id="sub"),
}


def profile_of(provider: Provider) -> Profile:
    """Give the profile of a configured provider."""
    return PROFILES[provider.kind]


def external_id_claim(provider: Provider) -> str:
    """Give the claim by which its provisioning calls a user; empty where nothing says."""
    known = profile_of(provider).external_id
    if provider.scim is None:
        return known
    return provider.scim.claim or known or "sub"


def scopes_of(provider: Provider) -> tuple[str, ...]:
    """Give what is asked for."""
    profile = profile_of(provider)
    return profile.scopes if provider.scopes is None else provider.scopes


def api_of(provider: Provider) -> str:
    """Give where its API is, without a slash at its end; empty where there is none."""
    return (provider.api or profile_of(provider).api).rstrip("/")
