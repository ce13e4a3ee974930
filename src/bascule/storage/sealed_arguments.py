"""Arguments that wait for a human, encrypted where they lie.

Who reads the database, a copy of it or its write-ahead log reads no arguments: AES-256-GCM
(NIST SP 800-38D) under a key that lies elsewhere, each for one approval alone.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.clock import Entropy
from bascule.decision import consent
from bascule.errors import BasculeError
from bascule.storage.call_approvals import CallApproval

_NONCE_BYTES = 12
_CHANGED = (
    "what the call is about cannot be read: the key has changed, or somebody has changed "
    "the database; the agent has to ask again"
)


class SealedArgumentsError(BasculeError):
    """The arguments of a call cannot be decrypted."""


def arguments_key(sealing_key: bytes) -> bytes:
    """Derive the key for arguments from the one that seals handles."""
    return hmac.digest(sealing_key, b"arguments of calls that wait", "sha256")


def seal_arguments(
    key: bytes, approval_id: str, arguments: bytes, entropy: Entropy
) -> bytes:
    """Encrypt arguments for one approval. Few are ever sealed, so nonces are random."""
    nonce = entropy(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, arguments, approval_id.encode())


def open_arguments(key: bytes, approval_id: str, sealed: bytes) -> bytes:
    """Decrypt what was sealed for that approval. Raises `SealedArgumentsError`."""
    nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, box, approval_id.encode())
    except (InvalidTag, ValueError) as exc:
        raise SealedArgumentsError(_CHANGED) from exc


def bound_arguments(key: bytes, approval: CallApproval) -> dict[str, Any]:
    """Give the arguments that an approval is about, to be shown with the rest of it.

    Its binding is made anew of what is given and shown, so that nobody consents to anything
    else by a row that was changed. Raises `SealedArgumentsError`.
    """
    asked = approval.request
    written = open_arguments(key, approval.id, approval.sealed_arguments or b"")
    digest = consent.digest_of(written)
    binding = consent.binding_of(
        user=asked.user,
        agent=asked.agent,
        connector=asked.connector,
        tool=asked.tool,
        arguments_digest=digest,
        definition=asked.definition,
        policy_digest=asked.policy_digest,
        rules=asked.rules,
    )
    if (digest, binding) != (asked.arguments_digest, asked.binding):
        raise SealedArgumentsError(_CHANGED)
    return consent.read(written)
