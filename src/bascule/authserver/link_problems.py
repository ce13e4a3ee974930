"""Why nothing is connected, in words for the user whose account it is."""

from __future__ import annotations

import logging

from bascule.oauthclient.errors import OAuthClientError
from bascule.storage.link_requests import LinkRequest
from bascule.web.problem import PageError

log = logging.getLogger("bascule")


def gone() -> PageError:
    """A link that leads nowhere any more."""
    return PageError(
        410,
        "This link is over",
        "It was used, or is older than ten minutes. Make the same call again, or ask for a "
        "new link.",
    )


def foreign() -> PageError:
    """An answer to nothing that was asked in this browser."""
    return PageError(
        400,
        "This is not what you have begun",
        "The answer does not belong to anything that was begun in this browser, so nothing "
        "was connected. If you did not just connect an account, somebody may have sent you "
        "here: tell the people who run this server.",
    )


def refused(asked: LinkRequest, error: str) -> PageError:
    """The authorization server, or the user there, said no; `error` is its code."""
    return PageError(
        403,
        f"{asked.connector} was not connected",
        f"Its authorization server says `{error}`. To try once more, make the same call "
        "again, or ask for a new link.",
    )


def unusable(asked: LinkRequest, problem: OAuthClientError) -> PageError:
    """The other side does not answer as it should."""
    log.warning("connector `%s` cannot be linked: %s", asked.connector, problem)
    return PageError(
        502,
        f"{asked.connector} cannot be connected now",
        "Its server or its authorization server does not answer as it should. Try again "
        "later, or tell the people who run this server.",
    )
