"""The table `[vault]`: what keeps the secrets in the database unreadable."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bascule.config.table import Table

VaultKey = Annotated[
    str,
    Meta(
        pattern=r"^(file|env|keyring|kms):.+$",
        description="`file:PATH`, `env:NAME`, `keyring:SERVICE/NAME` or `kms:COMMAND`",
    ),
]
"""Where a key-encryption key is: 32 bytes in Base64 or hex, or a program that has it."""


class VaultTable(Table, frozen=True):
    """`[vault]`: the key that encrypts the data keys of secrets; read at start."""

    key: VaultKey | None = None
    """`file:PATH`, `env:NAME` or `keyring:SERVICE/NAME` of 32 bytes in Base64 or hex, or
    `kms:COMMAND`, a program that encrypts and decrypts data keys with a key that it keeps.
    Absent: a key beside the others of the installation, made when missing."""
    former: tuple[VaultKey, ...] = ()
    """Keys of before, for reading, until `bascule key rotate --vault` has been run."""
