"""Error answers of OAuth endpoints (RFC 6749 §5.2, RFC 8707 §2, RFC 7591 §3.2.2)."""

from __future__ import annotations

from typing import ClassVar

from bascule.errors import BasculeError


class OAuthError(BasculeError):
    """What a client is told.

    `description` names parameters, never values: it goes to whoever asked.
    """

    error: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str) -> None:
        super().__init__(f"{self.error}: {description}")
        self.description = description


class InvalidRequestError(OAuthError):
    """A parameter is missing, doubled or malformed."""

    error = "invalid_request"


class InvalidClientError(OAuthError):
    """The client is unknown, or did not authenticate as it must."""

    error = "invalid_client"
    status = 401

    def __init__(self, reason: str) -> None:
        """`reason` goes into the log; every client is told the same."""
        super().__init__("the client is unknown here, or did not authenticate as it must")
        self.reason = reason


class InvalidGrantError(OAuthError):
    """The code or refresh token is unknown, expired, used, revoked or another client's."""

    error = "invalid_grant"


class UnauthorizedClientError(OAuthError):
    """The client may not use this grant type."""

    error = "unauthorized_client"


class UnsupportedGrantTypeError(OAuthError):
    """There is no such grant type here."""

    error = "unsupported_grant_type"


class InvalidScopeError(OAuthError):
    """None of the scopes can be given."""

    error = "invalid_scope"


class InvalidAuthorizationDetailsError(OAuthError):
    """What is asked for cannot be read, or cannot be given (RFC 9396 §5)."""

    error = "invalid_authorization_details"


class InvalidTargetError(OAuthError):
    """The resource is unknown, missing or more than one (RFC 8707 §2)."""

    error = "invalid_target"


class InvalidDpopProofError(OAuthError):
    """There is no proof of possession, or it is none of this request (RFC 9449 §5)."""

    error = "invalid_dpop_proof"


class UseDpopNonceError(OAuthError):
    """The proof needs a nonce, which the answer gives (RFC 9449 §8)."""

    error = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__("the proof needs the nonce of this answer")
        self.nonce = nonce


class UnsupportedResponseTypeError(OAuthError):
    """Only codes are given at the authorization endpoint."""

    error = "unsupported_response_type"


class RequestNotSupportedError(OAuthError):
    """Request objects are not read (OpenID Connect Core §3.1.2.6)."""

    error = "request_not_supported"


class RequestUriNotSupportedError(OAuthError):
    """Request objects are not fetched (OpenID Connect Core §3.1.2.6)."""

    error = "request_uri_not_supported"


class AccessDeniedError(OAuthError):
    """The user has refused, or may not be asked."""

    error = "access_denied"


class InvalidRedirectUriError(OAuthError):
    """A redirect URI cannot be registered (RFC 7591 §3.2.2)."""

    error = "invalid_redirect_uri"


class InvalidClientMetadataError(OAuthError):
    """Something else of a registration cannot be used (RFC 7591 §3.2.2)."""

    error = "invalid_client_metadata"


class RegistrationOffError(OAuthError):
    """There is no registration here."""

    error = "access_denied"
    status = 404


class TooManyRequestsError(OAuthError):
    """Try again later."""

    error = "temporarily_unavailable"
    status = 429


class UnavailableError(OAuthError):
    """The state or the log cannot be used at the moment."""

    error = "temporarily_unavailable"
    status = 503
