"""Logins at identity providers that have ended, wired."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from bascule.app.place import Place
from bascule.authserver.kept_logins import LoginsToRevoke
from bascule.authserver.provider_exchange import ProviderExchange
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.credentials.ended import EndedTokens
from bascule.oauthclient.openid import OpenIdProviders
from bascule.storage import provider_sessions
from bascule.storage.ended_logins import EndedLogin, end_unused
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

TIDY_SECONDS = 600.0
"""Between looks for logins whose last grant and last browser session are over."""


def provider_exchange(config: Callable[[], Config], place: Place) -> ProviderExchange:
    """Make what asks the providers of the configuration in force."""
    return ProviderExchange(
        OpenIdProviders(config),
        lambda it: place.secrets(config().vault)(it),
        clock=system_clock,
        entropy=system_entropy,
    )


def ended_logins(config: Callable[[], Config], place: Place) -> EndedTokens[EndedLogin]:
    """Make what revokes, at the provider, tokens of logins that have ended."""
    store, vault = place.open_state(), place.vault(config().vault)
    exchange = provider_exchange(config, place)
    kind = LoginsToRevoke(store, vault, exchange, system_clock, system_entropy)
    return EndedTokens(store, kind, system_clock)


async def tidy_logins(store: Store) -> None:
    """End logins on which nothing hangs any more, and forget sessions that are over."""
    try:
        await store.transact(partial(end_unused, now=system_clock()))
        await store.transact(provider_sessions.forget_ended)
    except StateUnavailableError as exc:
        log.warning("logins that nothing needs: %s", exc)
