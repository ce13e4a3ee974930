"""Reading the host out of a real TLS client's first message, and out of hostile ones."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.launch.sandbox.client_hello import (
    MAX_BYTES,
    ClientHello,
    NotTlsError,
    read_client_hello,
)


def hello(name: str | None = "tickets.example") -> bytes:
    """Give what OpenSSL sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(coming, going, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return going.read()


REAL = hello()


def records(message: bytes, size: int) -> bytes:
    """Spread a handshake message over records of this size."""
    pieces = [message[it : it + size] for it in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(it).to_bytes(2, "big") + it for it in pieces)


def made(*extensions: tuple[int, bytes]) -> bytes:
    """Write a ClientHello with these extensions."""
    body = b"".join(
        kind.to_bytes(2, "big") + len(it).to_bytes(2, "big") + it for kind, it in extensions
    )
    hello = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    hello += len(body).to_bytes(2, "big") + body
    return records(b"\1" + len(hello).to_bytes(3, "big") + hello, 1 << 14)


def server_name(*names: bytes, kind: bytes = b"\0") -> tuple[int, bytes]:
    listed = b"".join(kind + len(it).to_bytes(2, "big") + it for it in names)
    return 0, len(listed).to_bytes(2, "big") + listed


def test_the_host_of_a_real_client_is_found() -> None:
    assert read_client_hello(REAL) == ClientHello("tickets.example", encrypted=False)
    assert read_client_hello(hello(None)) == ClientHello(None, encrypted=False)


def test_a_host_is_compared_in_lower_case_without_its_final_dot() -> None:
    assert read_client_hello(made(server_name(b"Tickets.Example."))) == ClientHello(
        "tickets.example", encrypted=False
    )


@given(st.integers(1, 200))
def test_a_message_may_be_spread_over_records(size: int) -> None:
    assert read_client_hello(records(REAL[5:], size)) == read_client_hello(REAL)


@given(st.integers(0, len(REAL) - 1))
def test_a_part_is_waited_for(length: int) -> None:
    assert read_client_hello(REAL[:length]) is None


def test_an_encrypted_hello_is_told() -> None:
    found = read_client_hello(made(server_name(b"front.example"), (0xFE0D, b"\0")))
    assert found == ClientHello("front.example", encrypted=True)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((server_name(b"a.example", b"b.example"),), id="two in one list"),
        pytest.param(
            (server_name(b"a.example"), server_name(b"b.example")), id="two lists"
        ),
        pytest.param((server_name(b"a.example", kind=b"\1"),), id="of an unknown kind"),
        pytest.param(((0, b"\0\x20"),), id="cut"),
    ],
)
def test_a_doubtful_name_is_refused(names: tuple[tuple[int, bytes], ...]) -> None:
    with pytest.raises(NotTlsError):
        read_client_hello(made(*names))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="http"),
        pytest.param(b"\x15\x03\x01\0\2\2\x28", id="an alert"),
        pytest.param(b"\x16\x02\0\0\4", id="SSL 2"),
        pytest.param(b"\x16\x03\1\0\0", id="an empty record"),
        pytest.param(b"\x16\x03\1\0\4\2\0\0\0", id="a ServerHello"),
        pytest.param(b"\x16\x03\1\0\4\1\xff\xff\xff", id="sixteen megabytes"),
    ],
)
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    with pytest.raises(NotTlsError):
        read_client_hello(data)


def test_nobody_waits_for_an_endless_one() -> None:
    tiny = records(b"\1\0\x60\0" + bytes(MAX_BYTES), 1)
    with pytest.raises(NotTlsError):
        read_client_hello(tiny[:MAX_BYTES])


@given(st.binary(max_size=400))
def test_any_bytes_are_read_refused_or_waited_for(data: bytes) -> None:
    for start in (b"", b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"):
        try:
            found = read_client_hello(start + data)
        except NotTlsError:
            continue
        assert found is None or isinstance(found, ClientHello)
