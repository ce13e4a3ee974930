"""Users' own accounts at upstreams, wired."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.routing import Route

from bascule.app.oauth_clients import client_of
from bascule.app.place import Place
from bascule.app.secrets import ReadSecret
from bascule.authserver import connections
from bascule.authserver.link_return import LinkReturn
from bascule.authserver.links import Links
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.credentials.ended import EndedTokens
from bascule.credentials.link_clients import LinkClients
from bascule.credentials.link_flow import LinkFlow
from bascule.credentials.link_target import Target
from bascule.credentials.linked import LinkedAccounts
from bascule.credentials.linking import AccountsToRevoke
from bascule.gateway.linked import PerUser
from bascule.net.addresses import spells_loopback
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.storage.linked_accounts import LinkedAccount

LOOK_SECONDS = 1.0
"""Between looks for accounts that have ended."""


def target_of(config: Config, name: str, read_secret: ReadSecret) -> Target | None:
    """Give a connector whose users have accounts of their own there; None for any other.

    Raises `BasculeError` when what its client proves itself with cannot be read.
    """
    connector = config.connectors.get(name)
    if (
        connector is None
        or connector.url is None
        or connector.credential.kind != "per_user"
    ):
        return None
    credential = connector.credential
    return Target(
        connector=name,
        url=connector.url,
        policy=policy_for(config, connector.url),
        scopes=credential.scopes,
        issuer=credential.issuer,
        legacy=credential.legacy,
        dpop=credential.dpop,
        client=client_of(credential, read_secret),
    )


def policy_for(config: Config, url: str) -> FetchPolicy:
    """Give what may be fetched that the server at `url` names: loopback only from there."""
    near = spells_loopback(urlsplit(url).hostname or "")
    return FetchPolicy(private=config.network.private, loopback=near)


def per_user(
    target: Target, config: Config, place: Place, generation: Callable[[], int]
) -> PerUser:
    """Make what shows a server each user's own token."""
    store = place.open_state()
    accounts = LinkedAccounts(
        store, place.vault(config.vault), system_clock, system_entropy, generation
    )
    public_url = config.server.public_url
    return PerUser(target, accounts, store, public_url, system_clock, system_entropy)


def link_routes(config: Callable[[], Config], place: Place) -> list[Route]:
    """Make the pages on which users connect accounts, and end them."""
    vault, public_url = place.vault(config().vault), config().server.public_url
    clients = LinkClients(public_url, place.open_state(), vault)
    flow = LinkFlow(public_url, clients, system_clock, system_entropy)

    def target(name: str) -> Target | None:
        current = config()
        return target_of(current, name, place.secrets(current.vault))

    links, back = Links(flow, clients, target), LinkReturn(flow, vault, target)
    return [*back.routes, *links.routes, *connections.ROUTES]


def ended_accounts(
    config: Callable[[], Config], place: Place
) -> EndedTokens[LinkedAccount]:
    """Make what revokes, at the upstream, tokens of accounts that have ended."""
    store = place.open_state()

    def client(name: str) -> Client | None:
        current = config()
        target = target_of(current, name, place.secrets(current.vault))
        return None if target is None else target.client

    kind = AccountsToRevoke(
        store,
        place.vault(config().vault),
        lambda url: policy_for(config(), url),
        client,
        system_clock,
        system_entropy,
    )
    return EndedTokens(store, kind, system_clock)
