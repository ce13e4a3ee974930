"""Secrets that the configuration refers to: read where they lie, and only when needed."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from bascule.credentials.wrapping import KEY_BYTES
from bascule.errors import BasculeError
from bascule.storage.private_files import refuse_readable_by_others

MAX_BYTES = 64 << 10
OPERATOR = "bascule"
"""Owner in the vault of what the operator keeps there."""
ReadSecret = Callable[[str], str]
"""Gives the secret that a reference names. Raises `BasculeError`."""


def is_reference(value: str) -> bool:
    """Tell whether a setting is a reference to a secret rather than the value itself."""
    return value.startswith(("file:", "env:", "keyring:", "vault:"))


def resolve_secret(reference: str) -> str:
    """Read `file:PATH`, `env:NAME` or `keyring:SERVICE/NAME`.

    Of the vault only an opened place can read (`Place.secrets`). Raises `BasculeError`,
    which names the reference and never the secret.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        return _of_environment(reference, where)
    if kind == "file":
        return _of_file(reference, Path(where))
    if kind == "keyring":
        return _of_keyring(reference, where)
    raise BasculeError(
        f"secret `{reference}`: the vault cannot be read here; use `file:`, `env:` or "
        "`keyring:`"
    )


def _of_environment(reference: str, name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise BasculeError(f"secret `{reference}`: the variable is not set")
    return value


def _of_file(reference: str, path: Path) -> str:
    if not path.is_file():
        raise BasculeError(f"secret `{reference}`: there is no such file")
    refuse_readable_by_others(path)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"secret `{reference}` cannot be read as text") from exc


def _of_keyring(reference: str, where: str) -> str:
    """Read from the keychain of the system: Secret Service, macOS, Windows."""
    import keyring
    from keyring.errors import KeyringError

    service, slash, name = where.rpartition("/")
    if not (slash and service and name):
        raise BasculeError(f"secret `{reference}`: write `keyring:SERVICE/NAME`")
    try:
        value = keyring.get_password(service, name)
    except KeyringError as exc:
        raise BasculeError(
            f"secret `{reference}`: this system has no keyring that can be read"
        ) from exc
    if value is None:
        raise BasculeError(
            f"secret `{reference}` is not in the keyring: `keyring set {service} {name}`"
        )
    return str(value)


def secret_name(name: str) -> str:
    """Give how the vault calls what the configuration calls `vault:NAME`."""
    return f"secret/{name}"


def key_bytes(place: str, text: str) -> bytes:
    """Read a key: 32 bytes, in Base64 or hex.

    Raises `BasculeError`, which repeats none of it.
    """
    text = text.strip()
    try:
        key = (
            bytes.fromhex(text)
            if len(text) == 2 * KEY_BYTES
            else base64.b64decode(text, validate=True)
        )
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise BasculeError(
            f"`{place}` must refer to 32 random bytes in Base64, for instance from "
            "`openssl rand -base64 32`"
        )
    return key
