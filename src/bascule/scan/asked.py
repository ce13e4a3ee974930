"""A request of a scan, as it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bascule.net.fetch import USER_AGENT
from bascule.scan.place import Place


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request; who sends it says who he is, and shows no credential of anybody."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """They stand in place of the usual ones of the same name, `Host` included."""
    body: bytes | None = None

    def written(self, place: Place) -> bytes:
        """Write it for a place. Raises ValueError for what cannot stand in a head."""
        lines = {
            "host": place.authority,
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
        }
        if self.body is not None:
            lines["content-length"] = str(len(self.body))
        lines |= {name.lower(): value for name, value in self.headers.items()}
        if not all(map(_is_sendable, (self.method, self.path, *lines, *lines.values()))):
            raise ValueError("a header or the path has what cannot stand there")
        head = "".join(f"{name.title()}: {value}\r\n" for name, value in lines.items())
        first = f"{self.method} {self.path} HTTP/1.1\r\n"
        return f"{first}{head}\r\n".encode("latin-1") + (self.body or b"")


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()
