"""What beside a token must be shown: the tables about keys of clients."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from bascule.config.table import Table

Possession = Literal["dpop", "mtls"]
"""What is demanded beside a token: `dpop`, a proof signed with the client's key; `mtls`,
the client's certificate. A token that is not bound to it is refused."""
CertificateName = Annotated[
    str,
    Meta(
        pattern=r"^(dns:[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[a-z][a-z0-9+.-]*://[!#-)+-~]+)$",
        description="a URI, or `dns:` and a host in lower case, without `*`",
    ),
]
"""A subject alternative name, letter by letter."""


class Dpop(Table, frozen=True):
    """`[dpop]`: what holds for proofs of possession (RFC 9449), wherever one is shown."""

    nonce: bool = False
    """Want a nonce of this server in each, a new one every few minutes; a client learns it
    from the answer that refuses its first proof."""
