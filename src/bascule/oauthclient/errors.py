"""What can go wrong between Bascule as a client and somebody's authorization server.

No message repeats what the other side said: it may say anything, a secret of ours too.
"""

from __future__ import annotations

from bascule.errors import BasculeError


class OAuthClientError(BasculeError):
    """No token could be had, or no page to send the user to."""


class ServerUnavailableError(OAuthClientError):
    """The other side does not answer as it should at the moment; a later try may do.

    Nothing is known about whether it acted on the request.
    """

    def __init__(self, message: str, *, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        """When it asks to be asked again (`Retry-After`)."""


class UnusableServerError(OAuthClientError):
    """What the other side says of itself must not, or cannot, be used."""


class SignInAgainError(OAuthClientError):
    """The user's login at the identity provider is missing or over."""


class NotVouchedError(OAuthClientError):
    """The identity provider does not let its user use that server."""


UNKNOWN_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
"""What servers answer that do not know a client, or not any more."""


class GrantRefusedError(OAuthClientError):
    """The authorization server said no."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(f"the authorization server refused: `{error}`")
        self.error = error
        """The code (RFC 6749 §5.2), or `unknown_error` where it was no code."""
        self.description = description
        """Its own words, of printable ASCII, at most 300 characters, empty when they
        repeated what was sent. For the operator alone: they are a stranger's."""

    @property
    def is_final(self) -> bool:
        """The grant itself is no longer good: asking again with it changes nothing."""
        return self.error == "invalid_grant"
