"""Tokens for a provider's word that a client may act for its user (ID-JAG)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from bascule.authserver import issue
from bascule.authserver.clients import LEEWAY_SECONDS, Client
from bascule.authserver.details import requested_details
from bascule.authserver.errors import (
    InvalidGrantError,
    InvalidScopeError,
    InvalidTargetError,
    UnauthorizedClientError,
    UnavailableError,
)
from bascule.authserver.issue import Noted, TokenResponse, Wanted
from bascule.authserver.parameters import Parameters
from bascule.authserver.possession import require_possession
from bascule.authserver.provisioned import as_provisioned, vouch
from bascule.authserver.rereading import reread
from bascule.authserver.scopes import requested_connector, requested_scopes
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.config.providers import Provider
from bascule.identity.foreign_token import Unverified
from bascule.identity.id_jag import IdJag, InvalidIdJagError, verify_id_jag
from bascule.identity.provider_claims import (
    BadClaimsError,
    NotAdmittedError,
    Person,
    claimed_groups,
    person,
    require_admission,
)
from bascule.oauthclient.openid import NoSuchProviderError, ProviderUnavailableError
from bascule.storage import used_assertions, users
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class _Vouched:
    """What an assertion says of its user, to be noted."""

    user: FederatedUser
    groups: frozenset[str]


async def redeem_id_jag(
    server: AuthorizationServer,
    client: Client,
    unverified: Unverified,
    form: Parameters,
    *,
    peer: str,
) -> TokenResponse:
    """Issue a token for the user whom the provider names. Raises `OAuthError`.

    Only to clients that authenticate, or whoever found an assertion could use it. There is
    no refresh token: what the provider decides now, it decides anew the next time.
    """
    if not client.agent.authenticates or client.agent.origin == "dynamic":
        raise UnauthorizedClientError("the client does not authenticate")
    name, provider = _provider(server.config(), unverified)
    found = await _verified(server, client, name, provider, unverified)
    if found.cnf not in {None, client.cnf}:
        raise InvalidGrantError("the assertion is bound to another key")
    config = server.config()
    connector = _connector(config, found, form.resources)
    require_possession(config, client, connector)
    scopes = _scopes(config, found, connector, form.get("scope"))
    text = form.get("authorization_details")
    details = requested_details(config, connector, scopes, text)
    who = await _user(server, name, provider, found)
    user = f"user:{found.issuer}|{found.subject}"
    wanted = Wanted(client, user, connector, scopes, None, details, provider=name)
    work = partial(
        _note, config=config, wanted=wanted, found=found, who=who, now=server.clock()
    )
    try:
        noted = await server.change(work)
    except NotAdmittedError as exc:
        raise InvalidGrantError("the user may not sign in here") from exc
    if noted is None:
        raise InvalidGrantError("the assertion was shown before, or the user is disabled")
    return await issue.give(server, wanted, noted, record="token.issue", peer=peer)


def _provider(config: Config, unverified: Unverified) -> tuple[str, Provider]:
    """Give the provider that an assertion names, if its assertions count."""
    for name, provider in config.providers.items():
        if provider.id_jag and provider.iss == unverified.issuer:
            return name, provider
    raise InvalidGrantError("the assertion is by nobody who is trusted here")


async def _verified(
    server: AuthorizationServer,
    client: Client,
    name: str,
    provider: Provider,
    unverified: Unverified,
) -> IdJag:
    providers = server.exchange.providers
    try:
        key = await providers.key(name, unverified.kid, unverified.algorithm)
    except ProviderUnavailableError as exc:
        raise UnavailableError("the identity provider's keys cannot be read") from exc
    except NoSuchProviderError as exc:
        raise InvalidGrantError("the identity provider is none any more") from exc
    if key is None:
        raise InvalidGrantError("the assertion's signing key is unknown")
    verify = partial(
        verify_id_jag,
        unverified,
        key,
        provider,
        audience=server.issuer,
        client_id=client.client_id,
        now=server.clock(),
        leeway=LEEWAY_SECONDS,
    )
    try:
        return await asyncio.to_thread(verify)
    except InvalidIdJagError as exc:
        raise InvalidGrantError(f"the assertion is refused: {exc}") from exc


def _connector(config: Config, found: IdJag, resources: Sequence[str]) -> str:
    """Give the connector; what the request names must be one that the assertion is for."""
    if not resources and len(found.resources) > 1:
        raise InvalidTargetError("`resource` is missing: the assertion is for several")
    if any(it not in found.resources for it in resources):
        raise InvalidTargetError("the assertion is for another `resource`")
    return requested_connector(config, resources or found.resources, None)


def _scopes(
    config: Config, found: IdJag, connector: str, scope: str | None
) -> frozenset[str]:
    """Give the scopes that both the provider and the client want."""
    if found.scope is None:
        return requested_scopes(config, connector, scope)
    limit = requested_scopes(config, connector, found.scope)
    if scope is None:
        return limit
    both = limit & requested_scopes(config, connector, scope)
    if not both:
        raise InvalidScopeError("`scope` names none that the assertion is for")
    return both


async def _user(
    server: AuthorizationServer, name: str, provider: Provider, found: IdJag
) -> _Vouched | None:
    """Let a user in whom the provider vouches for, as a login would.

    Gives what is to be noted of them; None for one who is known with groups of which the
    assertion says nothing: then the provider was asked.
    """
    user = f"{found.issuer}|{found.subject}"
    known = await server.store.look(partial(users.get, name=user))
    try:
        groups = (
            [] if provider.provisions_groups else claimed_groups(found.claims, provider)
        )
        asks = not groups and not provider.provisions_groups
        if asks and known is not None and known.groups:
            await reread(server, f"user:{user}")
            return None
        if groups is None:
            raise InvalidGrantError("the user's groups are not in the assertion")
        who, said = await _person(server, name, provider, found, groups)
    except (BadClaimsError, NotAdmittedError) as exc:
        raise InvalidGrantError("the user may not sign in here") from exc
    before = frozenset() if known is None else frozenset(known.groups)
    await _record_groups(
        server, user, before, {f"{found.issuer}|{it}" for it in said.groups}
    )
    return _Vouched(who, said.groups)


async def _person(
    server: AuthorizationServer,
    name: str,
    provider: Provider,
    found: IdJag,
    groups: list[str],
) -> tuple[FederatedUser, Person]:
    """Put together who is vouched for. Raises `BadClaimsError`, `NotAdmittedError`."""
    said = person(found.claims, groups, provider)
    who = FederatedUser(
        issuer=found.issuer,
        subject=found.subject,
        provider=name,
        display_name=said.display_name,
        email=said.email,
        external_id=said.external_id,
    )
    said = await as_provisioned(server, who, said)
    require_admission(said, provider)
    return who, said


async def _record_groups(
    server: AuthorizationServer,
    user: str,
    before: AbstractSet[str],
    after: AbstractSet[str],
) -> None:
    """Record what changes, before it does."""
    if before == after:
        return
    await server.records.event(
        "user.groups",
        peer=None,
        user=f"user:{user}",
        admin={
            "added": " ".join(sorted(after - before)),
            "removed": " ".join(sorted(before - after)),
        },
    )


def _note(
    conn: Transaction,
    *,
    config: Config,
    wanted: Wanted,
    found: IdJag,
    who: _Vouched | None,
    now: UnixTime,
) -> Noted | None:
    """Note the assertion's use, the user and the token at once; None where one may not be.

    The use comes first, so that an old assertion changes nothing.
    """
    if not used_assertions.use(
        conn, digest=found.digest, expires_at=found.expires_at, now=now
    ):
        return None
    if who is not None and not vouch(conn, config, who.user, who.groups, now=now):
        return None
    return issue.note(conn, wanted, jti=issue.new_jti(), now=now)
