"""What the pages of accounts share."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.challenges import Challenges
from bascule.authserver.passkeys import RelyingParty
from bascule.authserver.passwords import PasswordWork
from bascule.web.cookies import BROWSER, read_cookie, set_cookie
from bascule.web.site import site_of

HOME = "/account"
BROWSER_SECONDS = 24 * 3600
_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Passwords, passkeys and challenges of one process."""

    challenges: Challenges
    relying_party: RelyingParty
    first_admin_came: Callable[[], None]
    """Called when the first administrator's link was used."""
    passwords: PasswordWork = field(default_factory=PasswordWork)

    def passkeys_work(self, request: Request) -> bool:
        """Tell whether a browser can have passkeys for this site where it is now.

        On loopback the site answers to several names; passkeys belong to one.
        """
        there = site_of(request).secure or request.url.hostname == self.relying_party.id
        return self.relying_party.possible and there


@dataclass(frozen=True, slots=True)
class PasskeyForm:
    """What a page needs to let a browser make or use a passkey."""

    options: str
    """JSON for the browser."""
    state: str
    """Comes back with the answer."""


def browser_of(request: Request) -> str:
    """Give the id of a browser, from its cookie or made now."""
    found = read_cookie(request, BROWSER)
    if found is not None and _BROWSER.fullmatch(found):
        return found
    fresh = site_of(request).entropy(16)
    return base64.urlsafe_b64encode(fresh).decode().rstrip("=")


def remember_browser(request: Request, response: Response, browser: str) -> None:
    """Set the cookie of a browser."""
    set_cookie(site_of(request), response, BROWSER, browser, seconds=BROWSER_SECONDS)
