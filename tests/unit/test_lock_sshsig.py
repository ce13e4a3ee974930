"""Signatures of OpenSSH, checked both ways with the real `ssh-keygen`."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from bascule.lock import sshsig
from bascule.lock.sshsig import NAMESPACE, SignatureError

MESSAGE = b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


def keygen(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "id"
    assert keygen("-q", "-t", "ed25519", "-N", "", "-f", str(path)).returncode == 0
    return path


def private(path: Path) -> Ed25519PrivateKey:
    found = load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


def line(key: sshsig.PublicKey) -> str:
    kind = "ssh-ed25519" if key.application is None else sshsig.HARDWARE.decode()
    return f"alice {kind} {base64.b64encode(key.blob).decode()}\n"


def accepted_by_openssh(
    signature: bytes, key: sshsig.PublicKey, folder: Path, message: bytes = MESSAGE
) -> bool:
    (folder / "allowed").write_text(line(key))
    (folder / "sig").write_text(sshsig.armour(signature))
    options = ("-f", str(folder / "allowed"), "-I", "alice", "-n", NAMESPACE)
    found = keygen("-Y", "verify", *options, "-s", str(folder / "sig"), stdin=message)
    return found.returncode == 0


def signed_by_openssh(key: Path, namespace: str = NAMESPACE, *options: str) -> bytes:
    found = keygen("-Y", "sign", "-f", str(key), "-n", namespace, *options, stdin=MESSAGE)
    return sshsig.unarmour(found.stdout.decode())


def test_openssh_accepts_what_we_sign(key: Path, tmp_path: Path) -> None:
    signature = sshsig.sign(MESSAGE, private(key), namespace=NAMESPACE)
    public = sshsig.public_key_of(private(key))
    assert accepted_by_openssh(signature, public, tmp_path)
    assert not accepted_by_openssh(signature, public, tmp_path, MESSAGE + b" ")


@pytest.mark.parametrize("options", [(), ("-O", "hashalg=sha256")])
def test_we_accept_what_openssh_signs(key: Path, options: tuple[str, ...]) -> None:
    signature = signed_by_openssh(key, NAMESPACE, *options)
    found = sshsig.verify(MESSAGE, signature, namespace=NAMESPACE)
    assert found == sshsig.public_key_of(private(key))
    shown = keygen("-l", "-f", f"{key}.pub").stdout.decode().split()[1]
    assert found.fingerprint == shown


def test_a_signature_for_another_namespace_is_none(key: Path) -> None:
    with pytest.raises(SignatureError, match="namespace `git`"):
        sshsig.verify(MESSAGE, signed_by_openssh(key, "git"), namespace=NAMESPACE)


def test_every_byte_of_a_signature_counts(key: Path) -> None:
    signature = sshsig.sign(MESSAGE, private(key), namespace=NAMESPACE)
    for place in range(len(signature)):
        changed = bytearray(signature)
        changed[place] ^= 1
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, bytes(changed), namespace=NAMESPACE)
    for cut in (signature[:-1], signature + b"\0", b""):
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, cut, namespace=NAMESPACE)


def hardware_signature(flags: int) -> tuple[bytes, sshsig.PublicKey]:
    """Sign as a security key would: over its application, flags and counter too."""
    secret = Ed25519PrivateKey.generate()
    point = secret.public_key().public_bytes_raw()
    text = sshsig._text
    blob = text(sshsig.HARDWARE) + text(point) + text(b"ssh:")
    digest = hashlib.sha512(MESSAGE).digest()
    data = b"SSHSIG" + b"".join(map(text, (NAMESPACE.encode(), b"", b"sha512", digest)))
    extra = bytes([flags]) + (7).to_bytes(4, "big")
    signed = hashlib.sha256(b"ssh:").digest() + extra + hashlib.sha256(data).digest()
    inner = text(sshsig.HARDWARE) + text(secret.sign(signed)) + extra
    parts = (text(blob), text(NAMESPACE.encode()), text(b""), text(b"sha512"), text(inner))
    return b"SSHSIG\0\0\0\1" + b"".join(parts), sshsig.parse_public_key(blob)


def test_a_key_in_hardware_signs_when_somebody_touches_it(tmp_path: Path) -> None:
    signature, public = hardware_signature(1)
    assert accepted_by_openssh(signature, public, tmp_path)
    assert sshsig.verify(MESSAGE, signature, namespace=NAMESPACE) == public
    untouched, _ = hardware_signature(0)
    with pytest.raises(SignatureError, match="touched"):
        sshsig.verify(MESSAGE, untouched, namespace=NAMESPACE)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "id"
    assert keygen("-q", "-t", kind, "-N", "", "-f", str(path)).returncode == 0
    with pytest.raises(SignatureError, match="use ed25519"):
        sshsig.verify(MESSAGE, signed_by_openssh(path), namespace=NAMESPACE)


def test_a_key_in_a_file_of_openssh_is_the_same_key(key: Path, tmp_path: Path) -> None:
    content = private(key).private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    (tmp_path / "again").write_bytes(content)
    (tmp_path / "again").chmod(0o600)
    signature = signed_by_openssh(tmp_path / "again")
    assert sshsig.verify(MESSAGE, signature, namespace=NAMESPACE).blob


@given(st.binary())
def test_any_bytes_are_a_signature_or_refused(content: bytes) -> None:
    for prefix in (b"", b"SSHSIG\0\0\0\1"):
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, prefix + content, namespace=NAMESPACE)


@given(st.binary())
def test_any_text_is_armour_or_refused(content: bytes) -> None:
    with pytest.raises(SignatureError):
        sshsig.unarmour(content.decode("latin-1"))


def test_nothing_of_a_signature_is_left_unsigned(key: Path) -> None:
    """The reserved field is no part of what is signed, so that it must be empty."""
    signature = sshsig.sign(MESSAGE, private(key), namespace=NAMESPACE)
    empty = sshsig._text(NAMESPACE.encode()) + sshsig._text(b"")
    filled = sshsig._text(NAMESPACE.encode()) + sshsig._text(b"x")
    assert empty in signature
    with pytest.raises(SignatureError, match="extension"):
        sshsig.verify(MESSAGE, signature.replace(empty, filled), namespace=NAMESPACE)


def test_a_key_has_its_length() -> None:
    text = sshsig._text
    for size in (0, 31, 33):
        with pytest.raises(SignatureError, match="32 bytes"):
            sshsig.parse_public_key(text(sshsig.PLAIN) + text(b"x" * size))
