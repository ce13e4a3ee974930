"""What each connector's server is shown, as its configuration says."""

from __future__ import annotations

from functools import partial

from bascule.app.linking import per_user, target_of
from bascule.app.oauth_clients import client_of
from bascule.app.place import Place
from bascule.app.secrets import ReadSecret
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config, Connector
from bascule.credentials.asking import Actors, Asking, Source
from bascule.credentials.issued import IssuedTokens
from bascule.decision.facts import Principal
from bascule.errors import BasculeError
from bascule.gateway.callers import Callers
from bascule.gateway.credentials import (
    Credential,
    CredentialError,
    Fixed,
    Presented,
    Tokens,
)
from bascule.gateway.exchange import header_block
from bascule.net.fetch import FetchPolicy


def credential_of(name: str, config: Config, callers: Callers, place: Place) -> Credential:
    """Make what the server of a connector is shown. Raises `BasculeError`."""
    connector = config.connectors[name]
    match connector.credential.kind:
        case "none":
            return Fixed(Presented(b""))
        case "static":
            return _static(name, connector, place.secrets(config.vault))
        case "client_credentials" | "token_exchange":
            return _issued(name, config, callers, place.secrets(config.vault))
        case "per_user":
            target = target_of(config, name, place.secrets(config.vault))
            if target is None:
                raise BasculeError(f"connector `{name}`: accounts need a `url`")
            return per_user(target, config, place, lambda: callers.generation)


def _static(name: str, connector: Connector, read_secret: ReadSecret) -> Fixed:
    credential = connector.credential
    value = read_secret(credential.value or "")
    if not (value and value.isascii() and value.isprintable()):
        raise BasculeError(f"connector `{name}`: its credential cannot be a header")
    return Fixed(Presented(header_block((credential.header.encode(), value.encode()))))


async def listing_header(
    connector: Connector, config: Config, read_secret: ReadSecret
) -> tuple[str, str] | None:
    """Give the header to read what a server serves with, for nobody; None for none.

    A server that only users may see shows nobody its lists. Raises `BasculeError`.
    """
    credential = connector.credential
    match credential.kind:
        case "static":
            return credential.header, read_secret(credential.value or "")
        case "client_credentials":
            tokens = await _asking(connector, config, read_secret).for_itself()
            return "Authorization", tokens.authorization()
        case _:
            return None


def _issued(name: str, config: Config, callers: Callers, read_secret: ReadSecret) -> Tokens:
    connector = config.connectors[name]
    asking = _asking(connector, config, read_secret)
    if connector.credential.kind == "client_credentials":
        return Tokens(IssuedTokens(asking.for_itself, system_clock, lambda: 0), _anybody)
    exchange = partial(
        asking.for_user,
        public_url=config.server.public_url,
        key=lambda: callers.keys.active(),
    )
    tokens = IssuedTokens(exchange, system_clock, lambda: callers.generation)
    return Tokens(tokens, _actors)


def _asking(connector: Connector, config: Config, read_secret: ReadSecret) -> Asking:
    credential = connector.credential
    client = client_of(credential, read_secret)
    # The rules of the configuration see to all three.
    if client is None or credential.issuer is None or connector.url is None:
        raise BasculeError("a credential of this kind needs `issuer` and `client_id`")
    source = Source(
        issuer=credential.issuer,
        client=client,
        resource=connector.url,
        scopes=credential.scopes,
        audience=credential.audience,
        policy=FetchPolicy(loopback=True, private=config.network.private),
    )
    return Asking(source, system_clock, system_entropy)


def _anybody(_: Principal) -> None:
    """Whoever calls, the token is Bascule's own."""


def _actors(principal: Principal) -> Actors:
    if principal.user is None:
        raise CredentialError("this server is for users: an agent by itself has no token")
    return Actors(principal.user.removeprefix("user:"), principal.agent)
