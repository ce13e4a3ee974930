"""Where requests of a scan go, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.scan.exchange import ENCODED, Tls
from bascule.scan.target import authority


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go: looked up once, checked, and never looked up again."""

    host: str
    port: int
    secure: bool
    addresses: tuple[str, ...]

    @property
    def authority(self) -> str:
        """What `Host` says."""
        return authority(self.host, self.port, secure=self.secure)

    @property
    def origin(self) -> str:
        """As browsers write it."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its body, which `cut` says to be whole or not."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: str
    tls: Tls | None
    address: str

    def header(self, name: str) -> str | None:
        """Give the value of a header, named in lower case; the first of several."""
        return next((value for key, value in self.headers if key == name), None)

    def every(self, name: str) -> list[str]:
        """Give all values of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def endless(self) -> bool:
        """Tell whether its end was not reached, in bytes or in time."""
        return self.cut not in {"", ENCODED}

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()
