"""Where a configuration refers to secrets, and whether others can read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bascule.app.secrets import is_reference
from bascule.config.model import Config, Connector
from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.storage.private_files import UnsafeFileError, refuse_readable_by_others


def refuse_exposed(config: Config) -> None:
    """Refuse a configuration with a secret in a file that other OS users can read.

    Before it is needed, which may be at somebody's login: by then others have read it.
    Raises `BasculeError`.
    """
    for place, reference in references(config).items():
        kind, _, where = reference.partition(":")
        path = Path(where)
        if kind != "file" or not path.is_file():
            continue
        try:
            refuse_readable_by_others(path)
        except UnsafeFileError as exc:
            raise BasculeError(f"`{place}`: {exc}") from exc


def references(config: Config) -> Mapping[str, str]:
    """Give all references, by the setting that holds each."""
    server = config.server
    found = {
        "server.key_encryption": server.key_encryption,
        "server.database": server.database if is_reference(server.database) else None,
    }
    if server.tls is not None:
        found["server.tls.key"] = server.tls.key
    for name, provider in config.providers.items():
        found |= _of_provider(f"providers.{name}", provider)
    for name, issuer in config.issuers.items():
        if issuer.introspection is not None:
            secret = issuer.introspection.client_secret
            found[f"issuers.{name}.introspection.client_secret"] = secret
    for name, connector in config.connectors.items():
        found |= _of_connector(f"connectors.{name}", connector)
    return {place: it for place, it in found.items() if it is not None}


def _of_provider(place: str, provider: Provider) -> Mapping[str, str | None]:
    signals, scim = provider.signals, provider.scim
    return {
        f"{place}.client_secret": provider.client_secret,
        f"{place}.client_key": provider.client_key,
        f"{place}.signals.authorization": signals.authorization if signals else None,
        f"{place}.scim.token": scim.token if scim else None,
    }


def _of_connector(place: str, connector: Connector) -> Mapping[str, str | None]:
    variables = {
        f"{place}.env.{variable}": value
        for variable, value in connector.env.items()
        if is_reference(value)
    }
    credential = {
        f"{place}.credential.{name}": getattr(connector.credential, name)
        for name in ("value", "client_secret", "client_key", "assertion")
    }
    return {**credential, **variables}
