"""The client that asks a user: who it says it is, and where its answers may go."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from bascule.authserver.clients import published_client
from bascule.authserver.documents import Published
from bascule.authserver.errors import InvalidClientError
from bascule.authserver.server import AuthorizationServer
from bascule.identity.client_document import is_document_address
from bascule.identity.redirect_uri import is_local, is_registered
from bascule.storage import agents
from bascule.storage.agents import Agent
from bascule.web.problem import PageError

log = logging.getLogger("bascule")


def unknown_client() -> PageError:
    """Make the page for a client that nobody knows, or no longer."""
    return PageError(
        400,
        "This app cannot be let in",
        "It is not known here, or no longer. Nothing was sent to it. If you trust it, tell "
        "the people who run this server.",
    )


@dataclass(frozen=True, slots=True)
class Asker:
    """A client as the user is shown it."""

    client_id: str
    name: str | None
    """What it calls itself."""
    agent: Agent | None
    """None for one that nobody has let in yet."""
    published: Published | None
    """Its document, if it is known by that."""
    redirect_uris: tuple[str, ...]

    @property
    def self_registered(self) -> bool:
        """Whether nobody but itself vouches for anything of it."""
        return self.agent is not None and self.agent.origin == "dynamic"

    def verified(self, redirect_uri: str) -> bool:
        """Whether only it can use an answer that goes there."""
        if is_local(redirect_uri):
            return False
        if self.published is not None:
            document = self.published.document
            over_https = all(uri.startswith("https://") for uri in document.redirect_uris)
            return document.auth_method != "none" and over_https
        return self.agent is not None and self.agent.verified


async def registered_asker(server: AuthorizationServer, client_id: str) -> Asker | None:
    """Give a client that is in the state; None for one that only its document tells of.

    Raises `PageError`.
    """
    agent = await server.store.look(partial(agents.get, client_id=client_id))
    if agent is None:
        if not is_document_address(client_id):
            raise unknown_client()
        return None
    expired = agent.expires_at is not None and agent.expires_at <= server.clock()
    if agent.disabled or expired:
        raise unknown_client()
    if agent.origin == "document":
        return None
    return Asker(client_id, agent.name, agent, None, agent.redirect_uris)


async def published_asker(server: AuthorizationServer, client_id: str) -> Asker:
    """Give a client by its document, which is fetched: for signed-in users alone.

    Raises `PageError`; the user learns no more than that it failed.
    """
    try:
        published = await published_client(server, client_id)
    except InvalidClientError as exc:
        log.warning("client %s is not let in: %s", ascii(client_id[:255]), exc.reason)
        raise PageError(
            400,
            "This app cannot be let in",
            "What it publishes of itself cannot be read, is not valid, or is of a host"
            " that may not let apps in here. Nothing was sent to it.",
        ) from exc
    agent = await server.store.look(partial(agents.get, client_id=client_id))
    document = published.document
    return Asker(client_id, document.name, agent, published, document.redirect_uris)


def require_redirect(asker: Asker, redirect_uri: str | None) -> str:
    """Give the redirect URI of a request if it is the client's. Raises `PageError`."""
    if redirect_uri is None or not any(
        is_registered(redirect_uri, registered) for registered in asker.redirect_uris
    ):
        raise PageError(
            400,
            "This app gave a wrong address",
            "The address for the answer is none that the app is known to use, so nothing "
            "was sent there. Somebody may have changed the link; start again from the app.",
        )
    return redirect_uri
