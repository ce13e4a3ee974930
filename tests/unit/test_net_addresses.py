"""Which addresses may be called: every way to write one that is not of the internet."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.net.addresses import (
    ForbiddenAddressError,
    allowed_addresses,
    is_public,
    resolve,
)
from bascule.net.resolver import SystemResolver

PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:80b::200e"]
PRIVATE_V4 = [
    "0.0.0.0",  # noqa: S104 - nothing is bound here
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
]
PRIVATE_V6 = [
    "::",
    "::1",
    "::7f00:1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
]


def dressed(address: str) -> list[str]:
    """Give the IPv6 forms in which an IPv4 address travels."""
    number = int(ipaddress.IPv4Address(address))
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    six_to_four = ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) | number)
    return [str(mapped), str(six_to_four), str(nat64)]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6])
def test_no_other_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_a_private_address_in_an_ipv6_dress_is_not_public(address: str) -> None:
    assert not any(is_public(dress) for dress in dressed(address))


@given(number=st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_public_in_every_dress_or_in_none(number: int) -> None:
    address = str(ipaddress.IPv4Address(number))
    assert {is_public(address)} == {is_public(dress) for dress in dressed(address)}


@given(number=st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1))
def test_what_python_calls_private_is_never_public(number: int) -> None:
    address = ipaddress.ip_address(number)
    if is_public(str(address)) and "." in str(address):
        assert address.is_global


def allowed(
    host: str, found: list[str], *, private: tuple[str, ...] = (), loopback: bool = False
) -> list[str]:
    async def resolver(_host: str, _port: int) -> list[str]:
        return found

    return asyncio.run(
        allowed_addresses(host, 443, private=private, loopback=loopback, resolver=resolver)
    )


def test_a_name_with_public_addresses_is_allowed() -> None:
    assert allowed("a.example", ["8.8.8.8", "8.8.4.4"]) == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize("found", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"]])
def test_one_private_address_among_public_ones_is_refused(found: list[str]) -> None:
    with pytest.raises(ForbiddenAddressError, match=r'add "a\.example:443" to `network'):
        allowed("a.example", found)


@pytest.mark.parametrize("entry", ["a.example:443", "A.Example:443"])
@pytest.mark.parametrize("host", ["a.example", "A.EXAMPLE"])
def test_a_private_address_that_the_operator_listed_is_allowed(
    entry: str, host: str
) -> None:
    assert allowed(host, ["10.0.0.1"], private=(entry,)) == ["10.0.0.1"]


def test_an_ipv6_address_that_the_operator_listed_is_allowed() -> None:
    private = ("[fd00::1]:443",)
    assert allowed("fd00::1", ["fd00::1"], private=private) == ["fd00::1"]


@pytest.mark.parametrize("entry", ["a.example:444", "b.example:443", "example:443"])
def test_another_entry_allows_nothing(entry: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        allowed("a.example", ["10.0.0.1"], private=(entry,))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]", "127.0.0.2"])
def test_loopback_is_allowed_where_it_is_asked_for_and_spelt_out(host: str) -> None:
    assert allowed(host, ["127.0.0.1"], loopback=True) == ["127.0.0.1"]
    with pytest.raises(ForbiddenAddressError):
        allowed(host, ["127.0.0.1"])


@pytest.mark.parametrize(
    "host", ["a.example", "localhost.", "2130706433", "0x7f.1", "127.1", "017700000001"]
)
def test_loopback_under_any_other_name_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        allowed(host, ["127.0.0.1"], loopback=True)


def test_a_localhost_that_is_elsewhere_is_refused() -> None:
    with pytest.raises(ForbiddenAddressError, match="does not resolve to loopback"):
        allowed("localhost", ["8.8.8.8"], loopback=True)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "017700000001", "0"]
)
def test_the_numbers_that_the_system_takes_for_loopback_are_refused(host: str) -> None:
    """`getaddrinfo` reads octal, hexadecimal and short forms."""
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(resolve(host, 443, private=()))


def test_a_name_without_addresses_is_an_oserror() -> None:
    with pytest.raises(OSError, match="no address"):
        allowed("a.example", [])


def test_the_system_resolver_reads_literals_and_localhost() -> None:
    resolver = SystemResolver()
    assert asyncio.run(resolver("127.0.0.1", 1)) == ["127.0.0.1"]
    assert set(asyncio.run(resolver("localhost", 1))) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be_one_is_an_oserror(host: str) -> None:
    with pytest.raises(OSError, match="cannot be looked up"):
        asyncio.run(SystemResolver()(host, 1))


def test_lookups_beyond_the_limit_are_refused() -> None:
    async def ask() -> None:
        await SystemResolver(0)("localhost", 1)

    with pytest.raises(OSError, match="too many"):
        asyncio.run(ask())
