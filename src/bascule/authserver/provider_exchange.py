"""Bascule as a client of identity providers: who has signed in, asked of the provider.

All is done on the wire here, and nothing is kept.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bascule.clock import Clock, Entropy
from bascule.config.providers import Provider
from bascule.identity.foreign_token import Unverified
from bascule.identity.id_token import (
    IdToken,
    InvalidIdTokenError,
    Wanted,
    read_id_token,
    verify_id_token,
)
from bascule.identity.provider_claims import BadClaimsError, Person, claimed_groups, person
from bascule.identity.provider_metadata import ProviderMetadata
from bascule.identity.provider_profiles import api_of, profile_of, scopes_of
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.authorization import (
    Pending,
    begin_authorization,
    redeem_code,
    refresh,
)
from bascule.oauthclient.client import AssertionKey, Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import UnusableServerError
from bascule.oauthclient.openid import NoSuchProviderError, OpenIdProviders
from bascule.oauthclient.provider_api import github_account, graph_groups, userinfo
from bascule.oauthclient.tokens import Tokens
from bascule.storage.federated_users import FederatedUser

LEEWAY_SECONDS = 30
_CERTIFICATE = re.compile(r"(?s)-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----")


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a login to ask the provider again; secret, for the vault alone."""

    refresh_token: str | None = None
    access_token: str | None = None
    """Only where there are no refresh tokens and it does not end by itself."""
    id_token: str | None = None
    """For the logout at the provider, and for its word about the user elsewhere."""

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Kept(…)"

    @property
    def can_ask(self) -> bool:
        """Whether the provider can be asked again."""
        return bool(self.refresh_token or self.access_token)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody whom a provider vouches for now; whether they may come in is not decided."""

    who: FederatedUser
    person: Person
    session: str
    """The session at the provider; empty where it names none."""
    kept: Kept = field(repr=False)


class ProviderExchange:
    """Asks the configured providers; used on one event loop."""

    def __init__(
        self,
        providers: OpenIdProviders,
        secret: Callable[[str], str],
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`secret` reads what a reference of the configuration leads to."""
        self.providers = providers
        self._secret = secret
        self._clock = clock
        self._entropy = entropy

    async def begin(self, name: str, *, redirect_uri: str) -> tuple[str, Pending]:
        """Give the address where somebody signs in, and what their answer is checked with.

        Raises `NoSuchProviderError`, `ProviderUnavailableError` or `OAuthClientError`.
        """
        provider = self.providers.provider(name)
        metadata = await self.providers.metadata(name)
        return begin_authorization(
            server_of(metadata),
            self.client(provider, metadata),
            redirect_uri=redirect_uri,
            scopes=scopes_of(provider),
            resource=None,
            entropy=self._entropy,
            with_nonce=not profile_of(provider).plain_oauth,
            assume_pkce=True,
            extra=_extra(provider),
        )

    async def finish(self, name: str, code: str, pending: Pending) -> SignedIn:
        """Redeem a code, and give who signed in.

        Raises as `begin` does, `InvalidIdTokenError` or `BadClaimsError`.
        """
        provider = self.providers.provider(name)
        metadata = await self.providers.metadata(name)
        tokens = await redeem_code(
            server_of(metadata),
            self.client(provider, metadata),
            code,
            pending,
            self.providers.policy(provider),
            now=self._clock(),
            entropy=self._entropy,
        )
        return await self._signed_in(name, provider, metadata, tokens, pending.nonce, None)

    async def ask_again(self, before: FederatedUser, kept: Kept) -> SignedIn:
        """Ask whether somebody who signed in before still has the account, and its groups.

        Raises as `finish` does: `GrantRefusedError` when the provider says no.
        """
        name = before.provider
        provider, metadata = await self.of_login(before)
        tokens = await self._fresh(provider, metadata, kept)
        found = await self._signed_in(name, provider, metadata, tokens, None, before)
        if (found.who.issuer, found.who.subject) != (before.issuer, before.subject):
            raise InvalidIdTokenError("the provider answers about somebody else")
        fresh = msgspec.structs.replace(
            found.kept,
            id_token=found.kept.id_token or kept.id_token,
        )
        return replace(found, kept=fresh)

    async def of_login(self, who: FederatedUser) -> tuple[Provider, ProviderMetadata]:
        """Give the provider that somebody signed in by.

        Raises as `begin` does: `NoSuchProviderError` also where its name stands for another
        one by now, which must not see what the login left.
        """
        provider = self.providers.provider(who.provider)
        metadata = await self.providers.metadata(who.provider)
        if not metadata.is_issuer(who.issuer):
            raise NoSuchProviderError("the provider of that name is another one now")
        return provider, metadata

    async def logout_url(self, name: str, kept: Kept | None, *, back: str) -> str | None:
        """Give where somebody is signed out at the provider too; None where they cannot be.

        OpenID RP-Initiated Logout §2, or Cognito's own way.
        """
        provider = self.providers.provider(name)
        endpoint = (await self.providers.metadata(name)).end_session_endpoint
        style = profile_of(provider).logout
        if endpoint is None or style == "none":
            return None
        query = {"client_id": provider.client_id}
        if style == "cognito":
            query["logout_uri"] = back
        else:
            query["post_logout_redirect_uri"] = back
            if kept is not None and kept.id_token:
                query["id_token_hint"] = kept.id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def client(self, provider: Provider, metadata: ProviderMetadata) -> Client:
        """Give who Bascule is there. Raises `UnusableServerError`, or `BasculeError`."""
        make = partial(Client, client_id=provider.client_id, issuer=metadata.issuer)
        if provider.client_key is not None:
            return make(
                key=assertion_key(self._secret(provider.client_key)),
                audience=profile_of(provider).assertion_audience,
            )
        return make(secret=self._secret(provider.client_secret or ""))

    async def _fresh(
        self, provider: Provider, metadata: ProviderMetadata, kept: Kept
    ) -> Tokens:
        if kept.refresh_token is None:
            access = kept.access_token or ""
            return Tokens(access, "Bearer", expires_at=None, scope=())
        return await refresh(
            server_of(metadata),
            self.client(provider, metadata),
            kept.refresh_token,
            self.providers.policy(provider),
            resource=None,
            held=(),
            now=self._clock(),
            entropy=self._entropy,
        )

    async def _signed_in(
        self,
        name: str,
        provider: Provider,
        metadata: ProviderMetadata,
        tokens: Tokens,
        nonce: str | None,
        before: FederatedUser | None,
    ) -> SignedIn:
        """Find out whom tokens are of, and what the provider says of them."""
        policy = self.providers.policy(provider)
        if profile_of(provider).plain_oauth:
            account = await github_account(api_of(provider), tokens.access_token, policy)
            found = IdToken(provider.iss, account.subject, None, account.claims)
            groups = account.groups
        else:
            found = await self._verified(name, provider, metadata, tokens, nonce, before)
            groups = await _groups(provider, metadata, found, tokens, policy)
        said = person(found.claims, groups, provider)
        who = FederatedUser(
            issuer=found.issuer,
            subject=found.subject,
            provider=name,
            display_name=said.display_name,
            email=said.email,
            external_id=said.external_id,
        )
        return SignedIn(who, said, found.session or "", _kept(provider, tokens))

    async def _verified(
        self,
        name: str,
        provider: Provider,
        metadata: ProviderMetadata,
        tokens: Tokens,
        nonce: str | None,
        before: FederatedUser | None,
    ) -> IdToken:
        """Verify the ID token; without one in a refresh, user info says whom it is of."""
        if tokens.id_token is None:
            if before is None or metadata.userinfo_endpoint is None:
                raise InvalidIdTokenError(
                    "there is no ID token: is the scope `openid` asked?"
                )
            policy = self.providers.policy(provider)
            claims = await userinfo(
                metadata.userinfo_endpoint,
                tokens.access_token,
                policy,
                subject=before.subject,
            )
            return IdToken(before.issuer, before.subject, None, claims)
        unverified = read_id_token(tokens.id_token)
        wanted = Wanted(
            provider,
            metadata.issuer,
            nonce=nonce,
            access_token=tokens.access_token,
            subject=None if before is None else before.subject,
        )
        return await self._checked(name, unverified, wanted)

    async def _checked(self, name: str, unverified: Unverified, wanted: Wanted) -> IdToken:
        key = await self.providers.key(name, unverified.kid, unverified.algorithm)
        if key is None:
            raise InvalidIdTokenError("the ID token is signed by no key of the provider")
        now = self._clock()
        return verify_id_token(unverified, key, wanted, now=now, leeway=LEEWAY_SECONDS)


def server_of(metadata: ProviderMetadata) -> AuthorizationServer:
    """Give a provider as a client needs it."""
    return AuthorizationServer(
        issuer=metadata.issuer,
        authorization_endpoint=metadata.authorization_endpoint,
        token_endpoint=metadata.token_endpoint,
        revocation_endpoint=metadata.revocation_endpoint,
        token_endpoint_auth_methods_supported=(
            metadata.token_endpoint_auth_methods_supported
        ),
        code_challenge_methods_supported=metadata.code_challenge_methods_supported,
        authorization_response_iss_parameter_supported=(
            metadata.authorization_response_iss_parameter_supported
        ),
    )


def assertion_key(pem: str) -> AssertionKey:
    """Read a private key; a certificate beside it names it, as Entra wants.

    Otherwise it has no name: providers make up their own for the keys that they are given.

    Raises `UnusableServerError`, which repeats nothing of it.
    """
    names = _named(pem)
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        algorithm = _algorithm(key, certified=bool(names))
        if key.is_private and algorithm:
            return AssertionKey(key, algorithm, names or {})
    raise UnusableServerError(
        "`client_key` holds no private key in PEM, without a password: RSA, P-256, Ed25519"
    )


def _algorithm(key: RSAKey | ECKey | OKPKey, *, certified: bool) -> str:
    """Give what a key signs with; Entra, which knows keys by certificates, wants PS256."""
    if isinstance(key, RSAKey):
        return "PS256" if certified else "RS256"
    return {"P-256": "ES256", "Ed25519": "Ed25519"}.get(str(key.curve_name), "")


def _named(pem: str) -> Mapping[str, str] | None:
    """Name a key by the certificate that lies beside it, as Entra knows it."""
    found = _CERTIFICATE.search(pem)
    if found is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(found[0].encode())
    except ValueError as exc:
        raise UnusableServerError("the certificate in `client_key` cannot be read") from exc
    digest = certificate.fingerprint(SHA256())
    return {"x5t#S256": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}


async def _groups(
    provider: Provider,
    metadata: ProviderMetadata,
    found: IdToken,
    tokens: Tokens,
    policy: FetchPolicy,
) -> list[str]:
    """Give the groups, from wherever the provider says them."""
    profile = profile_of(provider)
    if provider.provisions_groups:
        return []  # provisioning says them, whatever a claim holds
    groups = claimed_groups(found.claims, provider)
    if groups is None:
        if profile.overage != "graph":
            raise BadClaimsError("the groups are too many for the ID token")
        return await graph_groups(api_of(provider), tokens.access_token, policy)
    if groups or not profile.userinfo or metadata.userinfo_endpoint is None:
        return groups
    more: Mapping[str, Any] = await userinfo(
        metadata.userinfo_endpoint, tokens.access_token, policy, subject=found.subject
    )
    return claimed_groups(more, provider) or []


def _extra(provider: Provider) -> Mapping[str, str]:
    """Give what the kind wants to be asked with."""
    asks = dict(profile_of(provider).asks)
    domains = provider.admit.domains
    if provider.kind == "google" and domains:
        asks["hd"] = domains[0] if len(domains) == 1 else "*"
    return asks


def _kept(provider: Provider, tokens: Tokens) -> Kept:
    """Keep an access token only where it is what the provider can be asked with later."""
    lasting = profile_of(provider).plain_oauth and tokens.refresh_token is None
    return Kept(
        refresh_token=tokens.refresh_token,
        access_token=tokens.access_token if lasting else None,
        id_token=tokens.id_token,
    )
