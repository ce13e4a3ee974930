"""The envelope around what is signed: DSSE, one JSON object in one file.

    {"payload": BASE64, "payloadType": "application/vnd.in-toto+json",
     "signatures": [{"keyid": "SHA256:…", "sig": BASE64}]}

What is signed is the pre-authentication encoding of type and payload (DSSE v1, PAE), so
that a payload cannot pass as one of another type.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from bascule.lock.statement import (
    MAX_STATEMENT_BYTES,
    StatementError,
    convert_strictly,
)

PayloadType = Literal["application/vnd.in-toto+json"]
PAYLOAD_TYPE: PayloadType = "application/vnd.in-toto+json"
MAX_SIGNATURES = 8
MAX_ENVELOPE_BYTES = 2 * MAX_STATEMENT_BYTES
"""For Base64 and signatures."""


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """One signature, and a hint by which key."""

    keyid: str
    """The key's fingerprint as OpenSSH shows it."""
    sig: str
    """SSHSIG in Base64."""


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    payload: str
    payload_type: PayloadType = field(name="payloadType")
    signatures: Annotated[
        tuple[Signature, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)
    ]


class Envelope(Struct, frozen=True):
    """A payload with its signatures."""

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """Key id and SSHSIG of each."""


def pae(payload: bytes) -> bytes:
    """Give what is signed: length and bytes of the type and of the payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def parse_envelope(content: bytes) -> Envelope:
    """Read an envelope. Raises `StatementError`, and nothing else for any bytes."""
    document: _Document = convert_strictly(content, _Document, most=MAX_ENVELOPE_BYTES)
    return Envelope(
        payload=_decoded(document.payload),
        signatures=tuple((it.keyid, _decoded(it.sig)) for it in document.signatures),
    )


def write_envelope(envelope: Envelope) -> bytes:
    """Write an envelope, as a line of text."""
    document = _Document(
        _encoded(envelope.payload),
        PAYLOAD_TYPE,
        tuple(Signature(keyid, _encoded(sig)) for keyid, sig in envelope.signatures),
    )
    return msgspec.json.encode(document) + b"\n"


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise StatementError("not Base64") from exc
    if _encoded(raw) != text:
        # The bits behind the last byte are free: two texts would be one signature.
        raise StatementError("not Base64 as Bascule writes it")
    return raw
