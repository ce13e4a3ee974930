"""Tables of `[workloads]`: agents that a platform vouches for, without a secret."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from bascule.config.table import Table

ClaimPattern = Annotated[str, Meta(min_length=1)]
"""What a claim must be; `*` stands for any characters, also none."""


class Workload(Table, frozen=True):
    """`[workloads.NAME]`: which tokens of a platform stand for which agent."""

    issuer: str
    """The `iss` value of its tokens, compared letter by letter."""
    agent: str
    """Client id of the agent, as `bascule agent add CLIENT_ID --workload` registered it."""
    audience: str = ""
    """What `aud` must be, alone. Empty: Bascule's issuer (`server.public_url`) or its
    token endpoint."""
    subject: str = ""
    """What `sub` must be; `*` stands for any characters, also none."""
    claims: dict[str, ClaimPattern | dict[str, ClaimPattern]] = field(default_factory=dict)
    """What other claims must be, all of them texts; a table stands for an object."""
    jwks_uri: str = ""
    """Where its keys are. Empty: where its metadata says."""
    keys_file: str = ""
    """Instead: a file with its keys, a JWK set or a SPIFFE trust bundle; read anew every
    five minutes."""
    once: bool = True
    """Each token counts once. `false` where the platform leaves the same one in a file for
    a while, as Kubernetes does."""
