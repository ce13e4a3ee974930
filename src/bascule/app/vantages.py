"""Vantage points of a configuration, and the key that they know this Bascule by."""

from __future__ import annotations

import base64
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.app.place import Place
from bascule.clock import system_clock, system_entropy
from bascule.config.addresses import host_and_port
from bascule.config.model import Config, VantagePoint
from bascule.errors import BasculeError
from bascule.lock.sshsig import PLAIN, public_key_of
from bascule.scan.bypass import DialFrom
from bascule.scan.dialler import Dial
from bascule.scan.vantage import Vantage

KEY_NAME = "vantage"
KEY_BYTES = 32


def vantage_key(place: Place) -> Ed25519PrivateKey:
    """Read the key that signs orders, made when missing. Raises `BasculeError`."""
    key = place.keys.create(KEY_NAME, system_entropy(KEY_BYTES))
    if len(key) != KEY_BYTES:
        raise BasculeError(f"`{KEY_NAME}` is no key: remove it, and one is made")
    return Ed25519PrivateKey.from_private_bytes(key)


def public_line(key: Ed25519PrivateKey) -> str:
    """Write the public half as OpenSSH does: for `bascule scan vantage --paired-key`."""
    blob = base64.b64encode(public_key_of(key).blob)
    return f"{PLAIN.decode()} {blob.decode('ascii')}"


def dials_of(config: Config, place: Place) -> dict[str, DialFrom]:
    """Give what connects from each vantage point of a configuration, by name.

    Raises `BasculeError` when the key cannot be read.
    """
    vantages = config.boundary.vantages
    if not vantages:
        return {}
    key = vantage_key(place)
    return {name: partial(dial_of, it, key) for name, it in vantages.items()}


def dial_of(point: VantagePoint, key: Ed25519PrivateKey, targets: tuple[str, ...]) -> Dial:
    """Give what connects from a vantage point to these targets."""
    where = host_and_port(point.address)
    assert where is not None  # noqa: S101 - a rule of the configuration
    host, port = where
    return Vantage(host, port, point.fingerprint, key, targets, system_clock).dial
