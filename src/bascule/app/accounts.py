"""The pages of accounts, wired."""

from __future__ import annotations

import hmac
from functools import partial

from starlette.routing import Route

from bascule.app.place import Place
from bascule.app.setup_links import forget_first_admin_file
from bascule.authserver.account import Account
from bascule.authserver.accounts import Accounts
from bascule.authserver.challenges import Challenges
from bascule.authserver.login import Login
from bascule.authserver.passkeys import RelyingParty
from bascule.authserver.provider_login import ProviderLogins
from bascule.authserver.setup import Setup
from bascule.clock import system_entropy
from bascule.web.site import Site


def _first_admin_came(place: Place) -> None:
    place.note_change()
    forget_first_admin_file(place.data_dir)


def account_routes(site: Site, place: Place, logins: ProviderLogins) -> list[Route]:
    """Make the routes of login, set-up and account pages."""
    key = hmac.digest(place.sealing_key(), b"challenges", "sha256")
    accounts = Accounts(
        Challenges(key, system_entropy),
        RelyingParty(site.host, site.url),
        first_admin_came=partial(_first_admin_came, place),
    )
    pages = (Login(accounts, logins), logins, Setup(accounts), Account(accounts))
    return [route for it in pages for route in it.routes]
