"""What the public listener answers beside MCP: the pages of all packages in one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from bascule.app.accounts import account_routes
from bascule.app.linking import link_routes
from bascule.app.logins import provider_exchange
from bascule.app.place import Place
from bascule.authserver.call_approvals import CallApprovals
from bascule.authserver.documents import Documents
from bascule.authserver.provider_login import ProviderLogins
from bascule.authserver.routes import routes as oauth_routes
from bascule.authserver.server import AuthorizationServer
from bascule.clock import system_clock, system_entropy
from bascule.config.call_approval_rules import rules_in_force
from bascule.config.model import Config
from bascule.gateway.ingress import allowed_for
from bascule.gateway.public import public_application
from bascule.identity.keys import KeySet
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.workload_keys import WorkloadKeys
from bascule.provisioning.listener import Listener
from bascule.provisioning.routes import notice_routes
from bascule.provisioning.scim.endpoint import scim_route
from bascule.provisioning.scim.frame import Scim
from bascule.storage.sealed_arguments import arguments_key
from bascule.web.headers import SecurityHeaders
from bascule.web.page import no_such_page
from bascule.web.records import Records
from bascule.web.site import Site
from bascule.web.static import STATIC_ROUTE


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages are made from."""

    config: Callable[[], Config]
    """Gives the configuration in force."""
    place: Place
    keys: Callable[[], KeySet]
    """Gives the keys of tokens, as this process knows them."""
    records: Records
    late: Callable[[], list[str]]
    """Says what is late, one sentence each; empty means ready."""
    policy_digest: Callable[[], str]
    """Gives the digest of the rights and rules in force."""
    heard: Callable[[int], Awaitable[None]]
    """Waits until all processes can know of a generation of the directory."""
    documents: Documents | None = None
    """Where documents of clients come from; otherwise they are fetched as configured."""


def public_pages(parts: PageParts) -> Starlette:
    """Make the application of the public listener; once in each process that serves it."""

    def jwks() -> dict[str, object]:
        return parts.keys().jwks()

    url = parts.config().server.public_url
    site = Site(
        url=url,
        audience="public",
        store=parts.place.open_state(),
        clock=system_clock,
        entropy=system_entropy,
        records=parts.records,
    )
    server = authorization_server(parts)
    routes = [
        STATIC_ROUTE,
        *account_routes(site, parts.place, ProviderLogins(server)),
        *_call_approvals(parts).routes,
        *oauth_routes(server),
        *link_routes(parts.config, parts.place),
        *notice_routes(_listener(parts, server)),
        scim_route(_scim(parts, server)),
    ]
    made = public_application(url, jwks, parts.late, routes)
    made.state.site = site
    made.add_exception_handler(HTTPException, no_such_page)
    made.add_middleware(SecurityHeaders, url=url)
    return made


def _call_approvals(parts: PageParts) -> CallApprovals:
    return CallApprovals(
        arguments_key(parts.place.sealing_key()),
        rules=lambda: rules_in_force(parts.config()),
        policy_digest=parts.policy_digest,
    )


def _listener(parts: PageParts, server: AuthorizationServer) -> Listener:
    return Listener(
        url=server.issuer,
        store=server.store,
        records=server.records,
        providers=server.exchange.providers,
        secret=lambda it: parts.place.secrets(parts.config().vault)(it),
        note_change=server.note_change,
        clock=system_clock,
    )


def _scim(parts: PageParts, server: AuthorizationServer) -> Scim:
    return Scim(
        url=server.issuer,
        store=server.store,
        records=server.records,
        config=parts.config,
        secret=lambda it: parts.place.secrets(parts.config().vault)(it),
        changed=server.changed,
        clock=system_clock,
        entropy=system_entropy,
    )


def authorization_server(parts: PageParts) -> AuthorizationServer:
    """Make the authorization server of this process."""
    config = parts.config()
    fetching = FetchPolicy()
    documents = parts.documents or Documents(
        lambda: replace(fetching, private=parts.config().network.private)
    )
    return AuthorizationServer(
        issuer=config.server.public_url,
        store=parts.place.open_state(),
        records=parts.records,
        config=parts.config,
        keys=parts.keys,
        documents=documents,
        exchange=provider_exchange(parts.config, parts.place),
        heard=parts.heard,
        note_change=parts.place.note_change,
        nonces=parts.place.nonces(),
        workload_keys=WorkloadKeys(parts.config),
        vault=parts.place.vault(config.vault),
        origins=frozenset(origin.decode() for origin in allowed_for(config.server).origins),
        clock=system_clock,
        entropy=system_entropy,
    )
