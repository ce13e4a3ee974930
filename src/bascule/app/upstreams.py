"""The connections' side of each connector, its credential read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bascule.app.place import Place
from bascule.app.stdio import endpoint_of
from bascule.app.upstream_credentials import UpstreamCredentials
from bascule.config.model import Config
from bascule.gateway.callers import Callers
from bascule.gateway.gateway import Upstream
from bascule.gateway.upstream import Endpoint, UpstreamPool


def upstreams(config: Config, place: Place, callers: Callers) -> dict[str, Upstream]:
    """Make the upstream of each connector. Raises `BasculeError`."""
    credentials = UpstreamCredentials(config, callers, place)
    found = {}
    for name, connector in config.connectors.items():
        if connector.url is None:
            endpoint = endpoint_of(name, place.data_dir)
        else:
            endpoint = Endpoint(connector.url, tuple(config.network.private))
        pool = UpstreamPool(endpoint, config.limits)
        found[name] = Upstream(connector, pool, credentials.of(name))
    return found


def keep_unchanged(
    old: Mapping[str, Upstream], fresh: Mapping[str, Upstream]
) -> tuple[dict[str, Upstream], list[UpstreamPool]]:
    """Give `fresh`, but for connectors that did not change; and the pools of the others.

    What a server is shown is always the fresh: behind the same reference there may be
    another secret.
    What goes on there comes to its end. Streams that only listen have none: those
    of a connector that is gone are cut.
    """
    kept, retired = dict(fresh), []
    for name, upstream in old.items():
        if name in fresh and _is_same(fresh[name], upstream):
            kept[name] = replace(upstream, credential=fresh[name].credential)
            continue
        upstream.pool.retire()
        retired.append(upstream.pool)
        if name not in fresh:
            upstream.pool.end_listening()
    return kept, retired


def _is_same(one: Upstream, other: Upstream) -> bool:
    same_place = one.pool.endpoint == other.pool.endpoint
    return same_place and one.connector == other.connector
