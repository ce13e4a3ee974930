"""`bascule doctor idp`: whether a provider vouches for its users where connectors need it.

As with logins nobody is signed in: it is asked to vouch for whom an ID token names that was
made up, and how that is refused tells what it knows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bascule.app.doctor import Finding, finding
from bascule.authserver.provider_exchange import ProviderExchange, server_of
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config, Connector
from bascule.errors import BasculeError
from bascule.identity.provider_profiles import profile_of
from bascule.oauthclient.errors import GrantRefusedError
from bascule.oauthclient.exchange import ID_TOKEN, Shown
from bascule.oauthclient.id_jag import request_id_jag

MADE_UP = "an-id-token-that-bascule-doctor-has-made-up"
_TOKEN_REFUSED = frozenset({"invalid_grant", "invalid_request", "invalid_token"})
_EXCHANGE_REFUSED = frozenset({"unauthorized_client", "unsupported_grant_type"})


async def examine_vouching(
    exchange: ProviderExchange, config: Config, name: str
) -> AsyncIterator[Finding]:
    """Try one provider, whose metadata can be read, for each connector of `id_jag`."""
    for connector, it in config.connectors.items():
        if it.credential.kind == "id_jag":
            yield await _tried(exchange, config, name, connector, it)


async def _tried(
    exchange: ProviderExchange, config: Config, name: str, connector: str, it: Connector
) -> Finding:
    provider, metadata = config.providers[name], await exchange.providers.metadata(name)
    if profile_of(provider).plain_oauth:
        found = "providers of that kind vouch for nobody: its users get no token there"
        return finding(connector, "vouching", False, found, "let them sign in by another")
    try:
        await request_id_jag(
            server_of(metadata),
            exchange.client(provider, metadata),
            Shown(MADE_UP, ID_TOKEN),
            exchange.providers.policy(provider),
            issuer=it.credential.issuer or "",
            resource=it.url or "",
            scopes=it.credential.scopes,
            now=system_clock(),
            entropy=system_entropy,
        )
    except GrantRefusedError as exc:
        return _judged(connector, exc.error)
    except BasculeError as exc:
        fix = "look at the provider's own log, or correct what the message names"
        return finding(connector, "vouching", False, str(exc), fix)
    found = "it vouches for whoever shows any ID token"
    return finding(connector, "vouching", False, found, "do not use this provider")


def _judged(connector: str, error: str) -> Finding:
    if error in _TOKEN_REFUSED:
        found = "it exchanges ID tokens, but for one that was made up"
        return finding(connector, "vouching", True, found, "")
    found = f"its users get no token there: it refuses by `{error}`"
    fix = (
        "let it vouch (ID-JAG) at this connector's `credential.issuer` for its `url` and "
        "`scopes`, to Bascule as the client that it is there"
    )
    if error in _EXCHANGE_REFUSED:
        fix = "let the application there use token exchange, for ID-JAG"
    return finding(connector, "vouching", False, found, fix)
