"""Salted commitments to arguments: the log says nothing of a value, yet can prove it later.

For each top-level argument

    salt   = SHA-256(0x11 ‖ record key ‖ name)
    c      = SHA-256(0x10 ‖ salt ‖ length of name (4 bytes) ‖ name ‖ value)

with name in UTF-8 and value as the JSON that went upstream, and over all of them, ordered
by name, the RFC 6962 root with each c as a leaf's hash. More than `MAX_ARGUMENTS` are
committed to as one, with the empty name and the whole object as its value. The record key
is 32 random bytes that live apart from the log, so that a guess at a value proves nothing,
and deleting the key ends every proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from bascule.audit.merkle import root_of
from bascule.audit.record import ArgsPart, clip

KEY_BYTES = 32
MAX_ARGUMENTS = 1000
"""Committed to one by one; a stranger's message may have half a million."""
MAX_KEYS = 64
MAX_KEY_CHARACTERS = 128

_sha256 = hashlib.sha256
_encode = msgspec.json.Encoder().encode


def commitment(record_key: bytes, name: str, value: bytes) -> bytes:
    """Commit to one argument; `value` is its JSON."""
    raw = name.encode()
    salt = _sha256(b"\x11%b%b" % (record_key, raw)).digest()
    size = len(raw).to_bytes(4, "big")
    return _sha256(b"\x10%b%b%b%b" % (salt, size, raw, value)).digest()


def commit(record_key: bytes, arguments: Mapping[str, Any]) -> ArgsPart:
    """Make the record's part for a call's arguments."""
    names = sorted(arguments)
    if len(names) > MAX_ARGUMENTS:
        whole = _encode(arguments)
        size = len(whole)
        hashes = [commitment(record_key, "", whole)]
    else:
        # One brace; for each argument a colon, and a comma or the other brace.
        size = 1 if names else 2
        hashes = []
        for name in names:
            value = _encode(arguments[name])
            size += len(_encode(name)) + len(value) + 2
            hashes.append(commitment(record_key, name, value))
    return ArgsPart(
        bytes=size,
        commit="sha256:" + root_of(hashes).hex(),
        keys=tuple([clip(name, MAX_KEY_CHARACTERS) for name in names[:MAX_KEYS]]),
    )
