"""The last head of a connection, byte for byte, with what the parser made of it.

Between two requests the parser knows nothing but where it is, so what it made of some bytes
there it makes of the same bytes again. A head is therefore never read here: where it ends,
how long its body is and what it says is what the parser said when it was given just these
bytes. See docs/decisions/0031-a-head-that-was-just-seen.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

MAX_BYTES = 4096
"""Longer heads are parsed each time: one is kept for each connection."""


class SeenHead(Struct, frozen=True):
    """A head that was good, and whose request left the connection open.

    It is of one connection and gone with it; who may ask, and for whom, is the same there.
    """

    data: bytes
    """With the token, if there was one."""
    whole: int
    """Bytes of the head and its body together."""
    method: str
    target: bytes
    version: str
    headers: Mapping[bytes, bytes]
    peer: str

    def __repr__(self) -> str:
        """Show no header: there are tokens in them."""
        return f"SeenHead({self.method} {self.target!r})"

    def begins(self, data: bytes) -> bool:
        """Tell whether `data` is one whole request with this very head."""
        return len(data) == self.whole and data.startswith(self.data)
