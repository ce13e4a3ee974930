"""Foreign issuers at the resource side: whose tokens are accepted, by which keys.

Whoever reads the issuers' documents puts keys in here; requests never wait for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bascule.clock import UnixTime
from bascule.config.model import Issuer
from bascule.errors import BasculeError
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.foreign_token import check, is_signed, read
from bascule.identity.issuer_documents import IssuerKeys


class IssuerUnavailableError(BasculeError):
    """Whether a token is valid cannot be told: its issuer's keys cannot be read."""


@dataclass(slots=True, eq=False)
class ForeignIssuer:
    """One issuer as this process sees it."""

    rules: Issuer
    keys: IssuerKeys | None = None
    """None until they were read, and when they could not be read for too long."""
    reachable: bool = False
    """The last attempt to read its keys succeeded."""
    on_unknown_key: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called when a token needs a key that is not known: there may be new ones."""


class Issuers:
    """All issuers of the configuration, by their `iss`."""

    def __init__(self, configured: Mapping[str, Issuer] | None = None) -> None:
        self._issuers: dict[str, ForeignIssuer] = {}
        self.configure(configured or {})

    def configure(self, configured: Mapping[str, Issuer]) -> None:
        """Take up a configuration; an issuer that did not change keeps its keys."""
        old = self._issuers
        self._issuers = {
            rules.issuer: old[rules.issuer]
            if rules.issuer in old and old[rules.issuer].rules == rules
            else ForeignIssuer(rules)
            for rules in configured.values()
        }

    def every(self) -> list[ForeignIssuer]:
        """Give all."""
        return list(self._issuers.values())

    def verify(
        self, token: bytes, connector: str, now: UnixTime, leeway: int
    ) -> AccessToken | None:
        """Verify a token for a connector; None when no configured issuer issued it.

        Raises `InvalidTokenError`, or `IssuerUnavailableError`.
        """
        if not self._issuers:
            return None
        unverified = read(token)
        issuer = self._issuers.get(unverified.issuer)
        if issuer is None:
            return None
        found = check(unverified, issuer.rules, connector=connector, now=now, leeway=leeway)
        if issuer.keys is None:
            issuer.on_unknown_key()
            raise IssuerUnavailableError("the keys of the token's issuer cannot be read")
        key = issuer.keys.find(unverified.kid, unverified.algorithm)
        if key is None:
            self._miss(issuer, unverified.kid)
            raise InvalidTokenError("signing key is unknown", permanent=False)
        if not is_signed(unverified, key):
            raise InvalidTokenError("signature is wrong")
        return replace(found, signed_by=key.thumbprint)

    def _miss(self, issuer: ForeignIssuer, kid: str) -> None:
        if issuer.keys is not None and issuer.keys.knows(kid):
            return  # for another algorithm: no new key would help
        issuer.on_unknown_key()
        if not issuer.reachable:
            raise IssuerUnavailableError("new keys of the token's issuer cannot be read")

    def trusts(self, token: AccessToken) -> bool:
        """Tell whether the issuer of a verified token, and its key, still count.

        Under other rules it would mean something else: then it has to be read anew.
        """
        issuer = self._issuers.get(token.issuer or "")
        if issuer is None or issuer.keys is None or issuer.rules != token.rules:
            return False
        return token.signed_by in issuer.keys.thumbprints
