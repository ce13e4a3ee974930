"""What each connector's server is shown, as its configuration says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from functools import cached_property, partial

from bascule.app.linking import per_user, target_of
from bascule.app.logins import provider_exchange
from bascule.app.oauth_clients import client_of
from bascule.app.place import Place
from bascule.app.secrets import ReadSecret
from bascule.authserver.vouching import Audience, Vouching
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config, Connector
from bascule.credentials.asking import Actors, Asking, Source
from bascule.credentials.issued import IssuedTokens
from bascule.credentials.own_workload import OwnWorkload
from bascule.credentials.server_metadata import ServerMetadata
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
from bascule.oauthclient.tokens import Tokens as OAuthTokens


class UpstreamCredentials:
    """What the servers of one configuration are shown."""

    def __init__(self, config: Config, callers: Callers, place: Place) -> None:
        self._config = config
        self._callers = callers
        self._place = place

    def of(self, name: str) -> Credential:
        """Make what the server of a connector is shown. Raises `BasculeError`."""
        config, place = self._config, self._place
        connector = config.connectors[name]
        match connector.credential.kind:
            case "none":
                return Fixed(Presented(b""))
            case "static":
                return _static(name, connector, place.secrets(config.vault))
            case "client_credentials" | "workload":
                own = _own(connector, config, place.secrets(config.vault))
                return Tokens(IssuedTokens(own, system_clock, lambda: 0), _anybody)
            case "token_exchange":
                return self._exchanged(connector)
            case "id_jag":
                return self._vouched(connector)
            case "per_user":
                target = target_of(config, name, place.secrets(config.vault))
                if target is None:
                    raise BasculeError(f"connector `{name}`: accounts need a `url`")
                return per_user(target, config, place, lambda: self._callers.generation)

    def _exchanged(self, connector: Connector) -> Tokens:
        """Make tokens for users, in exchange for what Bascule states."""
        config, callers = self._config, self._callers
        asking = _asking(connector, config, self._place.secrets(config.vault))
        exchange = partial(
            asking.for_user,
            public_url=config.server.public_url,
            key=lambda: callers.keys.active(),
        )
        tokens = IssuedTokens(exchange, system_clock, lambda: callers.generation)
        return Tokens(tokens, _actors)

    def _vouched(self, connector: Connector) -> Tokens:
        """Make tokens for users for whom their identity provider vouches."""
        credential, vouching = connector.credential, self._vouching
        asking = _asking(connector, self._config, self._place.secrets(self._config.vault))
        audience = Audience(
            credential.issuer or "", connector.url or "", tuple(credential.scopes)
        )

        async def ask(user: Hashable) -> OAuthTokens:
            assertion = await vouching.assertion(str(user), audience)
            return await asking.with_assertion(assertion)

        tokens = IssuedTokens(ask, system_clock, lambda: self._callers.generation)
        return Tokens(tokens, _user)

    @cached_property
    def _vouching(self) -> Vouching:
        """One for all connectors, so that a provider's documents are read once."""
        config, place = self._config, self._place
        exchange = provider_exchange(lambda: config, place)
        vault = place.vault(config.vault)
        return Vouching(place.open_state(), vault, exchange, system_clock, system_entropy)


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
        case "client_credentials" | "workload":
            tokens = await _own(connector, config, read_secret)(None)
            return "Authorization", tokens.authorization()
        case _:
            return None


def _own(
    connector: Connector, config: Config, read_secret: ReadSecret
) -> Callable[[Hashable], Awaitable[OAuthTokens]]:
    """Give what asks for tokens of Bascule's own. Raises `BasculeError`."""
    credential = connector.credential
    if credential.kind == "client_credentials":
        return _asking(connector, config, read_secret).for_itself
    server = ServerMetadata(credential.issuer or "", _policy(config))
    return OwnWorkload(
        server,
        partial(read_secret, credential.assertion or ""),
        resource=connector.url or "",
        scopes=credential.scopes,
        clock=system_clock,
        entropy=system_entropy,
    ).for_itself


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
        policy=_policy(config),
    )
    return Asking(source, system_clock, system_entropy)


def _policy(config: Config) -> FetchPolicy:
    """Give which addresses an issuer that the operator names may have."""
    return FetchPolicy(loopback=True, private=config.network.private)


def _anybody(_: Principal) -> None:
    """Whoever calls, the token is Bascule's own."""


def _user(principal: Principal) -> str:
    return _actors(principal).user


def _actors(principal: Principal) -> Actors:
    if principal.user is None:
        raise CredentialError("this server is for users: an agent by itself has no token")
    return Actors(principal.user.removeprefix("user:"), principal.agent)
