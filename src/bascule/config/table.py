"""What all tables of the configuration file stand on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

SecretRef = Annotated[
    str,
    Meta(
        pattern=r"^(file|env|keyring|vault):.+$",
        description="a reference to a secret: `file:PATH`, `env:NAME`, "
        "`keyring:SERVICE/NAME` or `vault:NAME`",
    ),
]
"""Where a secret lies: `file:PATH`, `env:NAME`, `keyring:SERVICE/NAME` or `vault:NAME`."""


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table of the file."""
