"""What may be probed: this machine, and what its owner has said to own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.net.addresses import is_public
from bascule.scan.interfaces import OwnAddress
from bascule.scan.scope import (
    OutOfScopeError,
    Scope,
    ScopeError,
    entries,
    entry,
    read_scope,
)

OWN = (OwnAddress("eth0", "10.0.0.5", "10.0.0.0/24", "private"),)


def allowed(scope: Scope, address: str, host: str = "", port: int = 8000) -> bool:
    try:
        scope.check(address, host or address, port)
    except OutOfScopeError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "10.0.0.5"])
def test_this_machine_needs_no_word(address: str) -> None:
    assert allowed(Scope(own=OWN), address)


@pytest.mark.parametrize("address", ["10.0.0.6", "192.168.1.1", "8.8.8.8", "2001:4860::1"])
def test_others_need_the_word_of_their_owner(address: str) -> None:
    named = entries([address])
    assert not allowed(Scope(own=OWN, named=named, listed=named), address)


def test_private_addresses_need_to_be_named() -> None:
    scope = Scope(own=OWN, named=entries(["10.0.0.0/24"]), owned=True)
    assert allowed(scope, "10.0.0.6")
    assert not allowed(scope, "10.0.1.6")


def test_public_addresses_need_to_stand_in_the_scope_file() -> None:
    named = entries(["203.0.114.0/24", "8.8.8.8"])
    assert not allowed(Scope(named=named, owned=True), "8.8.8.8")
    assert allowed(Scope(named=named, listed=named, owned=True), "8.8.8.8")


def test_with_a_scope_file_nothing_else_is_in_scope() -> None:
    scope = Scope(
        own=OWN,
        named=entries(["192.168.0.0/24"]),
        listed=entries(["10.1.0.0/16"]),
        owned=True,
    )
    assert allowed(scope, "10.1.2.3")
    assert not allowed(scope, "192.168.0.1")
    assert allowed(scope, "10.0.0.5")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "0.0.0.0",  # noqa: S104 - that is what is refused
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
def test_metadata_services_and_groups_are_nobodys_servers(address: str) -> None:
    listed = entries([address, "169.254.0.0/16", "64:ff9b::a9fe:a900/120"])
    assert not allowed(Scope(own=OWN, named=listed, listed=listed, owned=True), address)


def test_a_host_is_in_scope_by_its_name_and_port_alone() -> None:
    scope = Scope(named=entries(["http://tickets.example:8000"]), owned=True)
    assert allowed(scope, "10.2.0.1", "tickets.example", 8000)
    assert not allowed(scope, "10.2.0.1", "tickets.example", 8001)
    assert not allowed(scope, "10.2.0.1", "other.example", 8000)


@given(st.integers(0, (1 << 32) - 1), st.integers(1, 65535))
def test_no_public_address_is_in_scope_of_a_word_alone(number: int, port: int) -> None:
    import ipaddress

    address = str(ipaddress.IPv4Address(number))
    scope = Scope(own=OWN, named=entries([address]), owned=True)
    assert not (is_public(address) and allowed(scope, address, port=port))


@pytest.mark.parametrize(
    ("named", "host", "port"),
    [
        ("10.0.0.0/8", "", None),
        ("10.1.2.3", "", None),
        ("10.1.2.3:80", "", 80),
        ("[fd00::1]:443", "", 443),
        ("Tickets.Example", "tickets.example", None),
        ("tickets.example:8080", "tickets.example", 8080),
        ("https://tickets.example/mcp", "tickets.example", 443),
        ("http://10.1.2.3/mcp", "", 80),
    ],
)
def test_reads_networks_hosts_and_urls(named: str, host: str, port: int | None) -> None:
    read = entry(named)
    assert (read.host, read.port) == (host, port)
    assert (read.network is None) == bool(host)


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("0.0.0.0/0", "nobody owns all of that"),
        ("8.0.0.0/8", "nobody owns all of that"),
        ("::/0", "nobody owns all of that"),
        ("64:ff9b::/96", "nobody owns all of that"),
        ("10.0.0.0/7", "nobody owns all of that"),
        ("10.0.0.1/24", "write 10.0.0.0/24"),
        ("ftp://x.example", "is no CIDR"),
        ("a b", "is no CIDR"),
        ("*.example", "is no CIDR"),
        ("10.0.0.0/8/8", "is no CIDR"),
    ],
)
def test_refuses_what_is_nobodys_scope(named: str, problem: str) -> None:
    with pytest.raises(ScopeError, match=problem):
        entry(named)


def test_reads_a_file_and_says_what_it_lists(tmp_path: Path) -> None:
    path = tmp_path / "scope.txt"
    path.write_text("# ours\n10.1.0.0/16  # office\n\ntickets.example:443\n")
    scope = Scope(listed=read_scope(path), owned=True)
    assert scope.described() == ("this machine", "10.1.0.0/16", "tickets.example:443")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"10.1.0.0/16\n0.0.0.0/0\n", "line 2: `0.0.0.0/0`"),
        (b"", "lists nothing"),
        (b"# only words\n", "lists nothing"),
        (b"\xff\xfe", "is no text"),
        (b"10.0.0.0/8\n" * 200_000, "is larger than"),
        (b"10.0.0.0/8\x00\n", "line 1"),
    ],
)
def test_says_what_is_wrong_with_a_file(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "scope.txt"
    path.write_bytes(content)
    with pytest.raises(ScopeError, match=problem):
        read_scope(path)


def test_says_that_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="No such file"):
        read_scope(tmp_path / "none")


@given(st.text(max_size=60))
def test_any_text_is_an_entry_or_refused(text: str) -> None:
    try:
        entry(text)
    except ScopeError:
        return


def test_shows_no_secret_of_a_url_that_is_in_scope() -> None:
    listed = entries(["https://bob:hunter2@x.example/mcp?token=hunter2"])
    assert Scope(listed=listed, owned=True).described() == (
        "this machine",
        "https://x.example/mcp?…",
    )
    with pytest.raises(ScopeError) as problem:
        entry("ftp://bob:hunter2@x.example?token=hunter2")
    assert "hunter2" not in str(problem.value)
