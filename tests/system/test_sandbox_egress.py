"""What a sandboxed server reaches: the hosts that it was given, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import new_authority
from system.boxed import WHO, Box

pytestmark = pytest.mark.on_disk

CLIENT = """
import json, socket, ssl, sys

def ask(place, server_name=None):
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 20) as plain:
            if server_name is None:
                return talk(plain)
            context = ssl.create_default_context(cafile=CA)
            context.check_hostname = False
            with context.wrap_socket(plain, server_hostname=server_name or None) as tls:
                return talk(tls)
    except OSError as exc:
        return type(exc).__name__

def talk(connection):
    connection.sendall(b"to the server")
    said = b""
    while piece := connection.recv(4096):
        said += piece
        if said.endswith(b"!"):
            break
    return said.decode() or "closed"

CA = None
"""


class Server:
    """Answers on loopback with what it was told, over TLS when it has a context."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received: list[bytes] = []
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self.received.append(connection.recv(4096))
            connection.sendall(b"answered: " + self.received[-1] + b"!")
            connection.close()


@contextlib.contextmanager
def server(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    made = Server(context)
    try:
        yield made
    finally:
        # Else `accept` would go on in the kernel.
        with contextlib.suppress(OSError):
            made.listener.shutdown(socket.SHUT_RDWR)
        made.listener.close()


@pytest.fixture(params=WHO)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    return Box(tmp_path, str(request.param))


def test_an_approved_host_is_reached_and_told(box: Box) -> None:
    with server() as it:
        place = f"tickets.test:{it.port}"
        ran = box.run(
            f'{CLIENT}\nprint(json.dumps(ask("{place}")))',
            may_reach=[place],
            private=[place],
            names={"tickets.test": ["127.0.0.1"]},
        )
    assert ran.json == "answered: to the server!"
    assert ran.allowed() == [("tickets.test", it.port)]
    assert ran.reached[0]["address"] == "127.0.0.1"
    assert ran.sent == len("to the server")


def test_an_approved_address_is_reached_as_it_is_written(box: Box) -> None:
    with server() as it:
        place = f"127.0.0.1:{it.port}"
        ran = box.run(
            f'{CLIENT}\nprint(json.dumps(ask("{place}")))',
            may_reach=[place],
            private=[place],
            names={"127.0.0.1": ["127.0.0.1"]},
        )
    assert ran.json == "answered: to the server!"


def test_another_port_of_an_approved_host_is_refused(box: Box) -> None:
    with server() as it, server() as other:
        place = f"tickets.test:{it.port}"
        ran = box.run(
            f'{CLIENT}\nprint(json.dumps(ask("tickets.test:{other.port}")))',
            may_reach=[place],
            private=[place],
            names={"tickets.test": ["127.0.0.1"]},
        )
    assert ran.json == "ConnectionRefusedError"
    assert other.received == []
    assert ran.refused() == {("tickets.test", other.port)}


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["::ffff:10.0.0.1"], id="private, mapped"),
        pytest.param(["93.184.216.34", "127.0.0.1"], id="one of two"),
        pytest.param([], id="no address"),
    ],
)
def test_a_name_that_leads_inside_is_refused(addresses: list[str], tmp_path: Path) -> None:
    """An approved name whose owner points it at the machine's own network."""
    with server() as it:
        ran = Box(tmp_path).run(
            f'{CLIENT}\nprint(json.dumps(ask("rebound.test:{it.port}")))',
            may_reach=[f"rebound.test:{it.port}"],
            names={"rebound.test": addresses},
        )
    assert ran.json in {"closed", "ConnectionResetError"}
    assert it.received == []
    assert ran.allowed() == []
    assert ran.refused() == {("rebound.test", it.port)}


def test_tls_to_the_approved_host_is_end_to_end(box: Box) -> None:
    authority = new_authority()
    (box.folder / "tree").mkdir()
    (box.folder / "tree" / "ca.pem").write_text(authority.pem)
    with server(authority.server(box.folder, "tickets.test")) as it:
        place = f"tickets.test:{it.port}"
        code = f"""{CLIENT}
CA = "{box.folder}/tree/ca.pem"
print(json.dumps([ask("{place}", "tickets.test"), ask("{place}", "other.test"),
    ask("{place}", "")]))
"""
        ran = box.run(
            code,
            may_reach=[place],
            private=[place],
            names={"tickets.test": ["127.0.0.1"]},
        )
    right, fronted, nameless = ran.json
    assert right == "answered: to the server!"
    assert fronted != right
    assert nameless != right
    assert it.received == [b"to the server"]
    reasons = {entry["reason"] for entry in ran.reached if not entry["allowed"]}
    assert reasons == {"its TLS asks for other.test", "its TLS asks for no host"}


def test_tls_that_comes_byte_by_byte_is_known_too(tmp_path: Path) -> None:
    """Its first byte alone says nothing yet."""
    code = f"""{CLIENT}
import time
hello = ssl.MemoryBIO()
tls = ssl.create_default_context().wrap_bio(
    ssl.MemoryBIO(), hello, server_hostname="other.test")
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    data = hello.read()
host, _, port = PLACE.rpartition(":")
with socket.create_connection((host, int(port)), 20) as plain:
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.sendall(data[:1])
    time.sleep(0.5)
    try:
        plain.sendall(data[1:])
        print(json.dumps(plain.recv(100).decode("latin-1")))
    except OSError as exc:
        print(json.dumps(type(exc).__name__))
"""
    with server() as it:
        place = f"tickets.test:{it.port}"
        ran = Box(tmp_path).run(
            code.replace("PLACE", f'"{place}"'),
            may_reach=[place],
            private=[place],
            names={"tickets.test": ["127.0.0.1"]},
        )
    assert ran.json in {"", "ConnectionResetError"}
    assert [it["reason"] for it in ran.reached if not it["allowed"]] == [
        "its TLS asks for other.test"
    ]
    assert it.received in ([], [b""])


def test_a_connection_on_the_port_of_https_must_be_tls(tmp_path: Path) -> None:
    """Refused before anything is connected to: nothing listens there, and nobody asks."""
    asked = 'ask("front.test:443"), ask("front.test:443", "x.test")'
    ran = Box(tmp_path).run(
        f"{CLIENT}\nprint(json.dumps([{asked}]))",
        may_reach=["front.test:443"],
        names={"front.test": ["93.184.216.34"]},
    )
    assert all(it in {"closed", "ConnectionResetError", "SSLEOFError"} for it in ran.json)
    assert ran.allowed() == []
    reasons = {entry["reason"] for entry in ran.reached}
    assert reasons == {"it does not begin with a TLS handshake", "its TLS asks for x.test"}


def test_refusals_are_told_once_and_not_endlessly(tmp_path: Path) -> None:
    code = """
import socket
for port in [*range(2000, 2400)] * 3:
    try:
        socket.create_connection(("203.0.113.7", port), 5)
    except OSError:
        pass
"""
    ran = Box(tmp_path).run(code)
    assert 100 <= len(ran.reached) <= 200
    assert len(ran.refused()) == len(ran.reached)
    assert {host for host, _ in ran.refused()} == {"203.0.113.7"}


def test_connections_in_a_loop_are_told_once_a_minute(tmp_path: Path) -> None:
    """A record each would fill the disk of the log, and nobody could be served then."""
    with server() as it:
        place = f"tickets.test:{it.port}"
        ran = Box(tmp_path).run(
            f'{CLIENT}\nprint(json.dumps([ask("{place}") for _ in range(30)]))',
            may_reach=[place],
            private=[place],
            names={"tickets.test": ["127.0.0.1"]},
        )
    assert set(ran.json) == {"answered: to the server!"}
    assert ran.allowed() == [("tickets.test", it.port)]


def test_its_own_loopback_is_its_own(tmp_path: Path) -> None:
    """A server may have helpers that listen; nobody hears of it."""
    code = """
import json, socket
listener = socket.create_server(("127.0.0.1", 8421))
client = socket.create_connection(("127.0.0.1", 8421), 5)
served, _ = listener.accept()
client.sendall(b"hello")
print(json.dumps(served.recv(10).decode()))
"""
    ran = Box(tmp_path).run(code)
    assert ran.json == "hello"
    assert ran.reached == []


def test_unix_sockets_of_a_shared_folder_cannot_be_reached(box: Box) -> None:
    """A folder of the host may hold a socket that leads out of the sandbox."""
    shared = box.folder / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(shared / "daemon.sock"))
        listener.listen()
        (shared / "daemon.sock").chmod(0o777)
        code = f"""
import json, socket
try:
    socket.socket(socket.AF_UNIX).connect("{shared}/daemon.sock")
    print(json.dumps("connected"))
except OSError as exc:
    print(json.dumps(exc.strerror))
"""
        for grant in ({"read": [str(shared)]}, {"write": [str(shared)]}):
            assert box.run(code, **grant).json != "connected"
