"""Where a provider provisions its users: what that says counts, not what a claim holds."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from functools import partial

from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.identity.provider_claims import (
    NotAdmittedError,
    Person,
    known_groups,
    require_group,
)
from bascule.storage import federated_users, scim_members
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Transaction


async def as_provisioned(
    server: AuthorizationServer, who: FederatedUser, person: Person
) -> Person:
    """Give a person with the groups that count.

    Raises `NotAdmittedError` for somebody whom provisioning could never end, because
    nothing says how it calls them, and `BadClaimsError`.
    """
    provider = server.config().providers.get(who.provider)
    if provider is None or provider.scim is None:
        return person
    if not await server.store.look(partial(_external_id, who=who)):
        raise NotAdmittedError(
            "Your identity provider does not say how its provisioning calls you. Ask "
            "whoever runs this server to look at `scim.claim` of the provider."
        )
    find = partial(
        _groups, config=server.config(), who=who, claimed=frozenset(person.groups)
    )
    return replace(person, groups=await server.store.look(find))


def vouch(
    conn: Transaction,
    config: Config,
    who: FederatedUser,
    claimed: Set[str],
    *,
    now: UnixTime,
) -> bool:
    """Take up what a provider says now, with the groups that count at this moment.

    `claimed`: with which they were admitted. False when the user may not come in, and
    nothing is changed; see `federated_users`. Raises `BadClaimsError`, and
    `NotAdmittedError` for who has left the groups that may sign in since.
    """
    groups = _groups(conn, config=config, who=who, claimed=claimed)
    if groups != claimed:
        require_group(groups, config.providers[who.provider])
    return federated_users.vouch(conn, who, groups, now=now)


def _groups(
    conn: Transaction, *, config: Config, who: FederatedUser, claimed: Set[str]
) -> frozenset[str]:
    provider = config.providers.get(who.provider)
    if provider is None or not provider.provisions_groups:
        return frozenset(claimed)
    external_id = _external_id(conn, who=who)
    found = scim_members.group_names(conn, issuer=who.issuer, external_ids=[external_id])
    return known_groups(found.get(external_id, ()), provider)


def _external_id(conn: Transaction, *, who: FederatedUser) -> str:
    """Give how provisioning calls somebody, if not now then as it was said before."""
    known = federated_users.get(conn, who.name)
    return who.external_id or (known.who.external_id if known is not None else "")
