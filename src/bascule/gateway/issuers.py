"""Foreign issuers at the resource side: whose tokens are accepted, by which keys.

Whoever reads the issuers' documents puts keys in here; requests never wait for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bascule.clock import UnixTime
from bascule.config.model import Issuer
from bascule.gateway.introspection import Answers, IssuerUnavailableError, Told
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.foreign_token import check, is_signed, read
from bascule.identity.issuer_documents import IssuerKeys


@dataclass(slots=True, eq=False)
class ForeignIssuer:
    """One issuer as this process sees it."""

    rules: Issuer
    answers: Answers | None = None
    """What it said of its tokens, where it is asked about each."""
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
        self._asked: dict[str, Answers] = {}
        """Who is asked about tokens for a connector that say nothing themselves."""
        self.configure(configured or {})

    def configure(self, configured: Mapping[str, Issuer]) -> None:
        """Take up a configuration; an issuer that did not change keeps its keys."""
        old = self._issuers
        self._issuers = {
            rules.issuer: old[rules.issuer]
            if rules.issuer in old and old[rules.issuer].rules == rules
            else _new(rules)
            for rules in configured.values()
        }
        self._asked = {
            connector: it.answers
            for it in self._issuers.values()
            if it.answers is not None
            for connector in it.rules.audiences
        }

    def every(self) -> list[ForeignIssuer]:
        """Give all."""
        return list(self._issuers.values())

    def verify(
        self, token: bytes, connector: str, now: UnixTime, leeway: int
    ) -> AccessToken | None:
        """Verify a token for a connector; None when no configured issuer issued it.

        Raises `InvalidTokenError`, `IssuerUnavailableError`, or `UnknownTokenError` when
        its issuer has to be asked.
        """
        if not self._issuers:
            return None
        try:
            unverified = read(token)
        except InvalidTokenError:
            if connector not in self._asked:
                raise
            return self._asked[connector].verify(token, connector, now, leeway)
        issuer = self._issuers.get(unverified.issuer)
        if issuer is None:
            return None
        if issuer.answers is not None:
            return issuer.answers.verify(token, connector, now, leeway)
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

    def told(self, verified: AccessToken, token: bytes) -> Told | None:
        """Give what its issuer said of a verified token, if it was asked."""
        issuer = self._issuers.get(verified.issuer or "")
        if issuer is None or issuer.answers is None:
            return None
        return issuer.answers.told(token)

    def trusts(self, token: AccessToken) -> bool:
        """Tell whether the issuer of a verified token, and its key, still count.

        Under other rules it would mean something else: then it has to be read anew.
        """
        issuer = self._issuers.get(token.issuer or "")
        if issuer is None or issuer.rules != token.rules:
            return False
        if issuer.answers is not None:
            return True  # as long as what was said counts
        if issuer.keys is None:
            return False
        return token.signed_by in issuer.keys.thumbprints


def _new(rules: Issuer) -> ForeignIssuer:
    return ForeignIssuer(rules, None if rules.introspection is None else Answers(rules))
