"""What somebody reads whose login by an identity provider came to nothing."""

from __future__ import annotations

from bascule.errors import BasculeError
from bascule.identity.id_token import InvalidIdTokenError
from bascule.identity.provider_claims import BadClaimsError, NotAdmittedError
from bascule.oauthclient.authorization import (
    AuthorizationRefusedError,
    ForeignResponseError,
)
from bascule.oauthclient.errors import (
    GrantRefusedError,
    OAuthClientError,
    ServerUnavailableError,
)
from bascule.oauthclient.openid import NoSuchProviderError, ProviderUnavailableError
from bascule.web.problem import PageError

PROBLEMS = (
    BadClaimsError,
    InvalidIdTokenError,
    NoSuchProviderError,
    NotAdmittedError,
    OAuthClientError,
    ProviderUnavailableError,
)
"""All that can be wrong with a login."""

_OPERATOR = "Tell whoever runs this server to look into `bascule doctor idp {name}`."


def page_of(problem: BasculeError, name: str) -> PageError:
    """Say it to somebody at a browser; what an operator needs is in the log."""
    ask = _OPERATOR.format(name=name)
    match problem:
        case NoSuchProviderError():
            return PageError(
                404, "There is no such way to sign in", "Go to the login page."
            )
        case NotAdmittedError():
            return PageError(403, "You may not sign in here", str(problem))
        case ProviderUnavailableError() | ServerUnavailableError():
            return PageError(
                503,
                f"{name} does not answer",
                f"Try again in a moment. {ask}",
                retry_after=5,
            )
        case ForeignResponseError():
            return PageError(
                400,
                "This answer was not what it should be",
                "Nothing of it was used. Sign in again from the login page.",
            )
        case AuthorizationRefusedError(error="access_denied"):
            return PageError(
                403, f"{name} let nobody in", "You, or its rules, have refused the login."
            )
        case AuthorizationRefusedError() | GrantRefusedError():
            return PageError(502, f"{name} refuses the login", ask)
        case _:
            return PageError(502, f"What {name} says cannot be used", ask)
