"""Keys that sign approvals: a person's own SSH key, or one that Bascule keeps."""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from bascule.clock import Entropy
from bascule.errors import BasculeError
from bascule.lock import sshsig
from bascule.lock.signers import Signer, Signers
from bascule.lock.sshsig import NAMESPACE, PublicKey
from bascule.storage.key_store import KeyStore
from bascule.storage.private_files import refuse_readable_by_others

OWN_KEY = "approval.key"
LOCAL = "local"
"""Who signs with Bascule's own key."""
SEED_BYTES = 32
MAX_KEY_BYTES = 64 << 10
TOUCH_SECONDS = 120
"""How long a passphrase or a touch of a hardware key may take."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What can sign: a private key at hand, or `ssh-keygen` with the file of a key."""

    public: PublicKey
    private: Ed25519PrivateKey | None = None
    path: Path | None = None

    def sign(self, message: bytes) -> bytes:
        """Sign, by `ssh-keygen` where the private half is not at hand.

        That asks for a passphrase on the terminal, if there is one. Raises `BasculeError`.
        """
        if self.private is not None:
            return sshsig.sign(message, self.private, namespace=NAMESPACE)
        signature = _sign_by_openssh(message, str(self.path))
        if sshsig.verify(message, signature, namespace=NAMESPACE) != self.public:
            raise BasculeError(f"`{self.path}` was signed for by another key")
        return signature


def own_signers(keys: KeyStore) -> Signers:
    """Give Bascule's own key as the only signer; none before its first use."""
    seed = keys.read(OWN_KEY)
    if seed is None:
        return Signers(())
    return Signers((Signer(LOCAL, _own(seed).public, None, None, (NAMESPACE,)),))


def own_key(keys: KeyStore, entropy: Entropy) -> SigningKey:
    """Give Bascule's own key, made on first use. Raises `BasculeError`."""
    return _own(keys.create(OWN_KEY, entropy(SEED_BYTES)))


def _own(seed: bytes) -> SigningKey:
    if len(seed) != SEED_BYTES:
        raise BasculeError(f"`{OWN_KEY}` is no key")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(sshsig.public_key_of(private), private)


def key_of_file(path: Path) -> SigningKey:
    """Read a key: a private one of OpenSSH, or a `.pub` whose other half an agent has.

    Raises `BasculeError`, which never holds what stands in the file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_BYTES)
    except OSError as exc:
        raise BasculeError(f"cannot read key `{path}`: {exc.strerror}") from exc
    try:
        if content.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
            refuse_readable_by_others(path)
            return SigningKey(_public_half(content), _private_half(content), path)
        return SigningKey(_public_line(content), None, path)
    except (sshsig.SignatureError, binascii.Error, ValueError, IndexError) as exc:
        raise BasculeError(
            f"`{path}` is no Ed25519 key of OpenSSH: `ssh-keygen -t ed25519` makes one"
        ) from exc


def _public_line(content: bytes) -> PublicKey:
    blob = base64.b64decode(content.split()[1], validate=True)
    return sshsig.parse_public_key(blob)


def _public_half(content: bytes) -> PublicKey:
    """Read the public key that stands in front of the private one, never encrypted.

    PROTOCOL.key of OpenSSH.
    """
    armour = re.fullmatch(rb"-+[A-Z ]+-+\s+([A-Za-z0-9+/=\s]+)-+[A-Z ]+-+\s*", content)
    if armour is None:
        raise ValueError("no armour")
    inner = base64.b64decode(b"".join(armour[1].split()), validate=True)
    return sshsig.public_half(inner)


def _private_half(content: bytes) -> Ed25519PrivateKey | None:
    """Read the private key; None where `ssh-keygen` must: a passphrase, or hardware."""
    try:
        found = load_ssh_private_key(content, None)
    except (TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, Ed25519PrivateKey) else None


def _sign_by_openssh(message: bytes, path: str) -> bytes:
    """Sign by `ssh-keygen`, without a terminal never asking anybody."""
    asks = os.isatty(0)
    environment = {**os.environ, **({} if asks else {"SSH_ASKPASS_REQUIRE": "never"})}
    try:
        done = subprocess.run(  # noqa: S603 - the path is an argument, there is no shell
            ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", path],  # noqa: S607
            input=message,
            stdout=subprocess.PIPE,
            stderr=None if asks else subprocess.PIPE,
            env=environment,
            start_new_session=not asks,  # or it would find the terminal by itself
            timeout=TOUCH_SECONDS,
            check=False,
        )
    except FileNotFoundError as exc:
        raise BasculeError("`ssh-keygen` is missing: install openssh-client") from exc
    except subprocess.TimeoutExpired as exc:
        raise BasculeError(f"`ssh-keygen` did not sign within {TOUCH_SECONDS} s") from exc
    if done.returncode != 0:
        raise BasculeError(
            f"`ssh-keygen` could not sign with `{path}`: a key with a passphrase needs a "
            "terminal, or ssh-agent (`ssh-add`) and --key with its .pub file"
        )
    return sshsig.unarmour(done.stdout.decode("ascii", "replace"))
