"""Orders to a vantage point: which targets it may connect to, signed by its Bascule.

Each connection to a vantage point carries one order. It names all targets of the probe, and
the one that is meant; it is bound to the number that the vantage point has just given, so
that it is good for that connection alone.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.lock import sshsig
from bascule.lock.sshsig import SignatureError

NAMESPACE = "bascule-vantage"
MAX_TARGETS = 256
MAX_LINE_BYTES = 64 << 10
VALID_SECONDS = 60
LEEWAY_SECONDS = 30
"""By how much two clocks may differ."""
NONCE_BYTES = 32


class OrderError(BasculeError):
    """An order that is not carried out."""


class Greeting(Struct, frozen=True, forbid_unknown_fields=True):
    """What a vantage point says first."""

    vantage: int
    """Version of this protocol: 1."""
    nonce: str


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed."""

    nonce: str
    targets: tuple[str, ...]
    """`ADDRESS:PORT`, literals only: a vantage point looks up no names."""
    connect: str
    """The one to connect to now."""
    expires: int
    """Seconds since 1970."""


class SignedOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """An order as it is sent: the bytes that were signed, and the signature, in Base64."""

    order: str
    signature: str


class Reply(Struct, frozen=True, forbid_unknown_fields=True):
    """What came of an order; after an `ok` the bytes of the target follow."""

    ok: bool
    failure: str = ""
    """`refused`, `unreachable`, `silent`, or `forbidden`."""
    why: str = ""


def signed(order: Order, private: Ed25519PrivateKey) -> bytes:
    """Write an order as one line."""
    content = msgspec.json.encode(order)
    signature = sshsig.sign(content, private, namespace=NAMESPACE)
    return line(SignedOrder(_text(content), _text(signature)))


def line(message: Struct) -> bytes:
    """Write a message as one line."""
    return msgspec.json.encode(message) + b"\n"


def new_order(nonce: str, targets: Sequence[str], connect: str, *, now: UnixTime) -> Order:
    """Make an order for a connection that has just been greeted."""
    return Order(nonce, tuple(targets), connect, now + VALID_SECONDS)


def verified(received: bytes, *, paired: bytes, nonce: str, now: UnixTime) -> Order:
    """Read an order, and hold it against the key of the paired Bascule and the nonce.

    `paired` is the key's point. Raises `OrderError`, and nothing else, for any bytes.
    """
    try:
        wrapped = msgspec.json.decode(received, type=SignedOrder)
        content = base64.b64decode(wrapped.order, validate=True)
        signature = base64.b64decode(wrapped.signature, validate=True)
        key = sshsig.verify(content, signature, namespace=NAMESPACE)
        if key.point != paired or key.application is not None:
            raise OrderError("it is signed by another key than the paired one")
        order = msgspec.json.decode(content, type=Order)
    except (msgspec.DecodeError, UnicodeError, RecursionError, binascii.Error) as exc:
        raise OrderError("it is no order") from exc
    except SignatureError as exc:
        raise OrderError(f"its signature is not accepted: {exc}") from exc
    _check(order, nonce, now)
    return order


def _check(order: Order, nonce: str, now: UnixTime) -> None:
    if order.nonce != nonce:
        raise OrderError("it was made for another connection")
    if not now - LEEWAY_SECONDS <= order.expires <= now + VALID_SECONDS + LEEWAY_SECONDS:
        raise OrderError("it is too old, or the two clocks differ by more than 30 s")
    if len(order.targets) > MAX_TARGETS:
        raise OrderError(f"it names more than {MAX_TARGETS} targets")
    if order.connect not in order.targets:
        raise OrderError("it connects to what is not among its targets")


def literal_and_port(target: str) -> tuple[str, int]:
    """Take `ADDRESS:PORT` apart. Raises `OrderError` for what is none."""
    host, _, port = target.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError as exc:
        raise OrderError("a target is no ADDRESS:PORT") from exc
    if not port.isdecimal() or not port.isascii() or not 0 < int(port) < 1 << 16:
        raise OrderError("a target is no ADDRESS:PORT")
    return str(address), int(port)


def target_text(address: str, port: int) -> str:
    """Write `ADDRESS:PORT`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
