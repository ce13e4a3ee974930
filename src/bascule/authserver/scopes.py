"""Which connector a request is about, and which of its scopes it gets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bascule.authserver.errors import InvalidScopeError, InvalidTargetError
from bascule.config.model import Config
from bascule.identity.resource import baseline_scope, connector_of

MAX_CHARACTERS = 2048
_SCOPE = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")
"""RFC 6749 §3.3."""
OFFLINE_ACCESS = "offline_access"
"""Clients ask for it to get a refresh token. They get one anyway, so it means nothing."""


def grantable(config: Config, connector: str) -> frozenset[str]:
    """Give the scopes of a connector: the built-in one, and those about something of it."""
    own = {
        scope
        for scope, entries in config.scopes.items()
        if any(re.split("[/:]", entry, maxsplit=1)[0] == connector for entry in entries)
    }
    return frozenset(own | {baseline_scope(connector)})


def requested_scopes(config: Config, connector: str, scope: str | None) -> frozenset[str]:
    """Give the scopes that a request gets; the baseline when it names none.

    Scopes that the connector does not have are left out, and the answer says which are left
    (RFC 6749 §3.3): clients ask for all that they have ever seen. When none is left that is
    an `InvalidScopeError`, since the baseline would be more than was asked for.
    """
    if scope is None:
        return frozenset({baseline_scope(connector)})
    if len(scope) > MAX_CHARACTERS or _SCOPE.fullmatch(scope) is None:
        raise InvalidScopeError("`scope` is malformed")
    asked = frozenset(scope.split(" "))
    known = asked & grantable(config, connector)
    if known:
        return known
    if asked == {OFFLINE_ACCESS}:
        return frozenset({baseline_scope(connector)})
    raise InvalidScopeError("`scope` names none of this resource's scopes")


def requested_connector(config: Config, resources: Sequence[str], scope: str | None) -> str:
    """Give the connector that a request is about (RFC 8707 §2).

    Raises `InvalidTargetError`. A client of before `resource` is understood by its scope,
    if that names one connector alone (`mcp:NAME`, which the 401 challenge told it). Nothing
    else is guessed.
    """
    connector = repeated_connector(config, resources) or _named_by(config, scope or "")
    if connector is None:
        raise InvalidTargetError("`resource` is missing: send the connector's URL")
    return connector


def repeated_connector(config: Config, resources: Sequence[str]) -> str | None:
    """Give the connector that `resource` names; None when it was not sent.

    Raises `InvalidTargetError`.
    """
    if not resources:
        return None
    if len(resources) > 1:
        raise InvalidTargetError("`resource` must be one: a token is for one connector")
    connector = connector_of(config.server.public_url, resources[0])
    if connector is None or connector not in config.connectors:
        raise InvalidTargetError("`resource` is none of this server's")
    return connector


def _named_by(config: Config, scope: str) -> str | None:
    asked = set(scope.split(" "))
    named = [name for name in config.connectors if baseline_scope(name) in asked]
    return named[0] if len(named) == 1 else None
