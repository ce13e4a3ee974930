"""What the pages of one listener work with."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from bascule.clock import Clock, Entropy
from bascule.storage.browser_sessions import Audience
from bascule.storage.store import Store
from bascule.web.records import Records


@dataclass(frozen=True, slots=True)
class Site:
    """One listener's pages: where people reach them, and what they stand on.

    An application keeps it as `app.state.site`.
    """

    url: str
    """Scheme, host and port that people use, no path: `server.public_url`."""
    audience: Audience
    """Which listener's sessions count here."""
    store: Store
    clock: Clock
    entropy: Entropy
    records: Records
    """Where pages write what they do."""

    @property
    def secure(self) -> bool:
        """Whether people come by https; otherwise it is loopback."""
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        """The host name alone."""
        return urlsplit(self.url).hostname or ""


def site_of(request: Request) -> Site:
    """Give the site that a request came to."""
    site = request.app.state.site
    assert isinstance(site, Site)  # noqa: S101 - narrows for mypy
    return site
