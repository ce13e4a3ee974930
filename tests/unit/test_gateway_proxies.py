"""For whom a proxy asks: the right-most address that is none of a proxy's own."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.gateway.proxies import Proxies

PROXIES = Proxies(["10.0.0.0/8", "192.0.2.1/32", "2001:db8:1::/48"])
PEER = "10.0.0.1"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (None, PEER),
        (b"203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (b"203.0.113.9,10.0.0.2,192.0.2.1", "203.0.113.9"),
        (b"10.9.9.9, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (b"127.0.0.1, 203.0.113.9", "203.0.113.9"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (b"10.0.0.2", "10.0.0.2"),
        (b"2001:db8:2::9", "2001:db8:2::9"),
        (b"2001:db8:2::9, 2001:db8:1::1", "2001:db8:2::9"),
        (b"[2001:db8:2::9]:4711", "2001:db8:2::9"),
        (b"[2001:db8:2::9]", "2001:db8:2::9"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"::ffff:203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        (b"2001:DB8:2:0::9", "2001:db8:2::9"),
        (b"", PEER),
        (b"unknown", PEER),
        (b"_hidden, 10.0.0.2", "10.0.0.2"),
        (b"203.0.113.9, unknown", PEER),
        (b"203.0.113.9, ", PEER),
        (b"203.0.113.9;10.0.0.2", PEER),
        (b"for=203.0.113.9", PEER),
        (b"0x7f.1", PEER),
        (b"fe80::1%any text", PEER),
        (b"2001:db8:2::9%<script>", PEER),
        (b"010.0.0.1", PEER),
        (b"203.0.113.9\xb9", PEER),
    ],
)
def test_the_client_of_a_request(header: bytes | None, client: str) -> None:
    assert PROXIES.client(PEER, header) == client


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:1::7"])
def test_a_proxy_is_known_by_its_address(address: str) -> None:
    assert PROXIES.trusts(address)


@pytest.mark.parametrize("address", ["11.0.0.1", "192.0.2.2", "::1", "local", "", "10"])
def test_nobody_else_is_a_proxy(address: str) -> None:
    assert not PROXIES.trusts(address)


strangers = st.ip_addresses().filter(lambda it: not PROXIES.trusts(str(it)))
own = st.ip_addresses(v=4, network="10.0.0.0/8")


@given(st.binary(), strangers, st.lists(own))
def test_nothing_that_a_client_writes_changes_who_it_is(
    written: bytes,
    client: ipaddress.IPv4Address | ipaddress.IPv6Address,
    hops: list[ipaddress.IPv4Address],
) -> None:
    """Proxies add on the right; what the client sent itself stands on the left."""
    added = ", ".join([str(client), *map(str, hops)]).encode()
    plain = Proxies(["10.0.0.0/8"]).client(PEER, added)
    assert Proxies(["10.0.0.0/8"]).client(PEER, written + b", " + added) == plain


@given(st.binary())
def test_any_header_gives_an_address(header: bytes) -> None:
    ipaddress.ip_address(PROXIES.client(PEER, header))
