"""What a reload keeps of the connections' side of a connector."""

from __future__ import annotations

from dataclasses import replace

from bascule.app.upstreams import keep_unchanged
from bascule.config.load import load
from bascule.gateway.credentials import Fixed, Presented
from bascule.gateway.gateway import Upstream
from bascule.gateway.upstream import Endpoint, UpstreamPool

CONFIG = load(
    '[connectors.a]\nurl = "https://a.example/mcp"\n'
    'credential = { kind = "static", value = "file:/run/a", shared = true }\n',
    source="bascule.toml",
)


def upstream(secret: bytes, private: tuple[str, ...] = ()) -> Upstream:
    pool = UpstreamPool(Endpoint("https://a.example/mcp", private), CONFIG.limits)
    return Upstream(CONFIG.connectors["a"], pool, Fixed(Presented(secret)))


def test_another_secret_behind_the_same_reference_is_shown() -> None:
    old, fresh = upstream(b"old"), upstream(b"new")
    kept, retired = keep_unchanged({"a": old}, {"a": fresh})
    assert kept["a"].credential is fresh.credential
    # Connections, and what is known of the server, stay.
    assert kept["a"] == replace(old, credential=fresh.credential)
    assert kept["a"].pool is old.pool
    assert retired == []


def test_an_address_that_is_allowed_no_more_ends_the_connections_to_it() -> None:
    old, fresh = upstream(b"", private=("a.example:443",)), upstream(b"")
    kept, retired = keep_unchanged({"a": old}, {"a": fresh})
    assert kept["a"] is fresh
    assert retired == [old.pool]


def test_of_a_connector_that_is_gone_nothing_stays() -> None:
    old = upstream(b"old")
    assert keep_unchanged({"a": old}, {}) == ({}, [old.pool])
