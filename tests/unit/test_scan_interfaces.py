from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.scan import rtnetlink
from bascule.scan.interfaces import (
    OwnAddress,
    is_inner_bridge,
    is_own,
    own_addresses,
    reach_of,
)

LAN = OwnAddress("eth0", "10.1.2.3", "10.1.2.0/24", "private")
LINK = OwnAddress("eth0", "fe80::1", "fe80::/64", "link_local")


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def address(prefix: int, index: int, *attributes: bytes) -> bytes:
    return message(20, struct.pack("=BBBBI", 2, prefix, 0, 0, index) + b"".join(attributes))


def name(index: int) -> str:
    if index == 9:
        raise OSError("no such device")
    return f"if{index}"


DONE = message(3, b"\0\0\0\0")


def test_this_machine_has_loopback_first() -> None:
    first = own_addresses()[0]
    assert (first.interface, first.address, first.network, first.reach) == (
        "lo",
        "127.0.0.1",
        "127.0.0.0/8",
        "loopback",
    )


def test_all_that_the_system_has_for_its_name_is_listed() -> None:
    """A second opinion: the interfaces that the C library names are the ones we find."""
    known = {name for _index, name in socket.if_nameindex()}
    assert {it.interface for it in own_addresses()} <= known


def test_of_a_point_to_point_link_the_near_end_counts() -> None:
    far, near = socket.inet_aton("10.9.0.1"), socket.inet_aton("10.9.0.2")
    answer = address(32, 3, attribute(1, far), attribute(2, near)) + DONE
    assert rtnetlink.read(answer, name) == ([("if3", "10.9.0.2", 32)], True)


def test_an_answer_goes_on_over_datagrams() -> None:
    one = address(64, 2, attribute(1, socket.inet_pton(socket.AF_INET6, "fd00::2")))
    assert rtnetlink.read(one, name) == ([("if2", "fd00::2", 64)], False)


def test_an_interface_that_has_gone_has_no_addresses() -> None:
    answer = address(8, 9, attribute(1, b"\x0a\0\0\1")) + DONE
    assert rtnetlink.read(answer, name) == ([], True)


def test_a_refusal_is_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(OSError, match="does not list"):
        rtnetlink.read(message(2, struct.pack("=i", -1)), name)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(answer: bytes) -> None:
    """Whole messages in the middle of garbage included; nothing loops for ever."""
    for told in (answer, address(8, 1, attribute(1, b"\x0a\0\0\1")) + answer):
        try:
            rtnetlink.read(told, name)
        except OSError:
            continue


@pytest.mark.parametrize(
    ("literal", "reach"),
    [
        ("127.3.2.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.3.4", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("192.168.1.4", "private"),
        ("100.64.0.9", "private"),
        ("fd00::2", "private"),
        ("8.8.8.8", "public"),
        ("2a00:1450::5", "public"),
    ],
)
def test_how_far_an_address_reaches(literal: str, reach: str) -> None:
    assert reach_of(literal) == reach


def test_a_bridge_of_containers_reaches_these_alone() -> None:
    assert reach_of("172.17.0.1", bridge=True) == "bridge"


@pytest.mark.parametrize(
    ("port", "inner"), [(None, True), ("", True), ("device", False), ("lower_eth1", False)]
)
def test_a_bridge_is_inner_unless_a_card_is_in_it(
    tmp_path: Path, port: str | None, inner: bool
) -> None:
    """A made-up /sys: a bridge with no port, a virtual one, a card, a bond over a card."""
    (tmp_path / "br0" / "brif").mkdir(parents=True)
    if port is not None:
        (tmp_path / "br0" / "brif" / "port").mkdir()
        (tmp_path / "port" / port).mkdir(parents=True)
    assert is_inner_bridge("br0", tmp_path) is inner


def test_what_is_no_bridge_is_not_inner() -> None:
    assert not is_inner_bridge("lo")


@pytest.mark.parametrize(
    "own", ["127.9.9.9", "::1", "10.1.2.3", "::ffff:10.1.2.3", "fe80::1%x"]
)
def test_what_ends_on_this_machine_is_its_own(own: str) -> None:
    assert is_own(own, [LAN, LINK])


@pytest.mark.parametrize(
    "foreign", ["10.1.2.4", "8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "::"]
)
def test_what_a_translator_would_send_elsewhere_is_not(foreign: str) -> None:
    assert not is_own(foreign, [LAN, LINK])


def test_a_link_local_address_is_connected_to_with_its_zone() -> None:
    assert (LINK.connectable, LAN.connectable) == ("fe80::1%eth0", "10.1.2.3")
