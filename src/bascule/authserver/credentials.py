"""A new password or passkey, as a form brings it; checked before anything changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request

from bascule.authserver.accounts import Accounts, PasskeyForm, browser_of
from bascule.authserver.passkeys import PasskeyError
from bascule.authserver.passwords import TooBusyError, password_problem
from bascule.errors import BasculeError
from bascule.storage.ways_in import NewPasskey, NewPassword, WayIn
from bascule.web.problem import PageError
from bascule.web.site import site_of
from bascule.web.source import source_of

NOT_VERIFIED = (
    "The passkey could not be verified, or the page has waited too long. Try again."
)


class NotTakenError(BasculeError):
    """The form's password or passkey is not taken; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Owner:
    """For whom a way in is made."""

    subject: str
    """What challenges are bound to: a user, or a set-up link."""
    name: str
    user_handle: bytes
    existing: tuple[bytes, ...] = ()
    """Ids of the passkeys that it has."""


def passkey_form(
    accounts: Accounts, request: Request, browser: str, owner: Owner
) -> PasskeyForm | None:
    """Make the form by which a browser makes a passkey; None where it cannot."""
    if not accounts.passkeys_work(request):
        return None
    challenge, state = accounts.challenges.issue(
        "register", browser=browser, subject=owner.subject, now=site_of(request).clock()
    )
    options = accounts.relying_party.creation_options(
        challenge,
        name=owner.name,
        user_handle=owner.user_handle,
        existing=owner.existing,
    )
    return PasskeyForm(options, state)


async def new_way_in(
    accounts: Accounts, request: Request, form: Mapping[str, str], owner: Owner
) -> WayIn:
    """Read a new password or passkey. Raises `NotTakenError` or `PageError`."""
    if "credential" in form:
        return await _new_passkey(accounts, request, form, owner)
    return await _new_password(accounts, request, form, owner.name)


async def _new_password(
    accounts: Accounts, request: Request, form: Mapping[str, str], name: str
) -> NewPassword:
    password = form.get("password", "")
    problem = password_problem(password, name=name)
    if problem is not None:
        raise NotTakenError(problem)
    try:
        with accounts.passwords.turn(source_of(request)):
            return NewPassword(await accounts.passwords.hash(password))
    except TooBusyError as exc:
        raise PageError(
            503, "Too many logins at once", "Try again in a moment.", retry_after=2
        ) from exc


async def _new_passkey(
    accounts: Accounts, request: Request, form: Mapping[str, str], owner: Owner
) -> NewPasskey:
    challenge = accounts.challenges.recognize(
        form.get("state", ""),
        "register",
        browser=browser_of(request),
        subject=owner.subject,
        now=site_of(request).clock(),
    )
    if challenge is None:
        raise NotTakenError(NOT_VERIFIED)
    verify = partial(
        accounts.relying_party.verify_new,
        form["credential"],
        challenge,
        user_handle=owner.user_handle,
    )
    try:
        return await asyncio.to_thread(verify)
    except PasskeyError as exc:
        raise NotTakenError(NOT_VERIFIED) from exc
