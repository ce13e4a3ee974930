"""Callers: tokens turned into verified, unrevoked principals, and remembered.

A token is verified once; afterwards the digest of its bytes finds the result, until it
expires or users, agents or revocations change, when it is looked at anew.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bascule.audit.record import AgentPart, CredPart, UserPart, user_part, written_groups
from bascule.clock import UnixTime, monotonic
from bascule.decision.facts import Principal
from bascule.errors import BasculeError
from bascule.gateway.introspection import Told
from bascule.gateway.issuers import Issuers
from bascule.identity.access_token import AccessToken, InvalidTokenError, verify
from bascule.identity.foreign_token import MAX_TOKEN_BYTES
from bascule.identity.keys import KeySet
from bascule.storage.directory import Directory

T = TypeVar("T")

LEEWAY_SECONDS = 30
CONFIRM_SECONDS = 2.0
"""A copy of the directory older than this decides nothing."""
MAX_CALLERS = 50_000
MAX_REFUSED = 4096


class UnauthenticatedError(BasculeError):
    """No valid token; `reason` goes into the record, never to the client."""

    def __init__(self, reason: str, *, token_shown: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.token_shown = token_shown


class StateUnconfirmedError(BasculeError):
    """Whether the token was revoked cannot be told at the moment."""


@dataclass(slots=True, eq=False)
class Caller:
    """Who a token stands for, with the parts of audit records that say so."""

    principal: Principal
    connector: str
    token: AccessToken
    user_part: UserPart | None
    agent_part: AgentPart
    cred_part: CredPart
    confirmed: int
    """Number of the state of directory and keys that last confirmed it."""
    identity: str
    """User and agent, whatever the token."""
    deciding_part: UserPart | None = None
    """The user with the groups, for what is to be decided again some day."""
    told: Told | None = None
    """What the token's issuer said of it, where that is asked again and again."""


class Callers:
    """All callers of this process."""

    def __init__(
        self, keys: KeySet, issuer: str, directory: Directory, issuers: Issuers
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._directory = directory
        self.issuers = issuers
        self._state = 0
        """Raised whenever what callers were admitted by has changed."""
        self._confirmed = monotonic()
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._refused: OrderedDict[bytes, str] = OrderedDict()

    @property
    def keys(self) -> KeySet:
        """The keys whose tokens are accepted, and the one that signs."""
        return self._keys

    @property
    def generation(self) -> int:
        """Generation of the directory in use."""
        return self._directory.generation

    @property
    def state_age(self) -> float:
        """Seconds since the directory was last known to be current."""
        return monotonic() - self._confirmed

    def confirm(self, directory: Directory | None = None) -> None:
        """Take a new directory, or note that the one in use is still current."""
        if directory is not None:
            self._directory = directory
            self.look_again()
        self._confirmed = monotonic()

    def trust(self, keys: KeySet) -> None:
        """Use other signing keys; all tokens are verified anew."""
        self._keys = keys
        self._callers.clear()
        self._refused.clear()

    def look_again(self) -> None:
        """Look up anew who was admitted or refused: what it depends on has changed."""
        self._state += 1
        self._refused.clear()

    def authenticate(
        self, authorization: bytes | None, connector: str, resource: str, now: UnixTime
    ) -> Caller:
        """Give the caller of a request.

        Raises `UnauthenticatedError`, `StateUnconfirmedError` when revocations may have
        been missed, or `UnknownTokenError` when the token's issuer has to be asked first.
        """
        at = monotonic()
        if at - self._confirmed > CONFIRM_SECONDS:
            raise StateUnconfirmedError("revocation state is not confirmed")
        if authorization is None:
            raise UnauthenticatedError("no token", token_shown=False)
        digest = hashlib.sha256(authorization).digest()
        caller = self._callers.get(digest)
        if caller is None or (caller.told is not None and caller.told.until <= at):
            shown = _shown(authorization)
            caller = self._admit(shown, digest, connector, resource, now)
        if caller.connector != connector:
            raise UnauthenticatedError("token is for another connector", token_shown=True)
        if not self.still_valid(caller, now):
            del self._callers[digest]
            raise UnauthenticatedError("token has expired or was revoked", token_shown=True)
        return caller

    def still_valid(self, caller: Caller, now: UnixTime) -> bool:
        """Tell whether a caller's token is neither expired nor revoked by now."""
        if caller.token.expires_at + LEEWAY_SECONDS <= now:
            return False
        if caller.told is not None and caller.told.until <= monotonic():
            caller.told = caller.told.renewed()
            if caller.told is None:
                return False
        if caller.confirmed != self._state:
            if self._principal(caller.token, caller.connector) != caller.principal:
                return False
            caller.confirmed = self._state
        return True

    def revokes(self, token: AccessToken, connector: str) -> bool:
        """Tell whether what was issued with a token is revoked by now."""
        return self._directory.revocations.covers(token, connector)

    def _admit(
        self, shown: _Shown, digest: bytes, connector: str, resource: str, now: UnixTime
    ) -> Caller:
        refused = self._refused.get(digest)
        if refused is not None:
            raise UnauthenticatedError(refused, token_shown=True)
        try:
            verified = self._verify(shown.token, connector, resource, now)
            _check_scheme(shown.scheme, verified)
        except InvalidTokenError as exc:
            if exc.permanent:
                _remember(self._refused, digest, str(exc), MAX_REFUSED)
            raise UnauthenticatedError(str(exc), token_shown=True) from exc
        principal = self._principal(verified, connector)
        if principal is None:
            raise UnauthenticatedError("token was revoked", token_shown=True)
        caller = _caller(principal, connector, verified, self._state)
        caller.told = self.issuers.told(verified, shown.token)
        _remember(self._callers, digest, caller, MAX_CALLERS)
        return caller

    def _verify(
        self, token: bytes, connector: str, resource: str, now: UnixTime
    ) -> AccessToken:
        """Verify a token of ours, or of a foreign issuer when it is none."""
        try:
            return verify(
                token,
                keys=self._keys,
                issuer=self._issuer,
                resource=resource,
                now=now,
                leeway=LEEWAY_SECONDS,
            )
        except InvalidTokenError:
            found = self.issuers.verify(token, connector, now, LEEWAY_SECONDS)
            if found is None:
                raise
            return found

    def _principal(self, token: AccessToken, connector: str) -> Principal | None:
        """Look a verified token up.

        None when it was revoked, its user or agent is disabled, or its key was dropped.
        """
        subject = self._directory.subject(token, connector)
        if subject is None or not self._trusts(token):
            return None
        return Principal(
            user=subject.user,
            agent=subject.agent,
            groups=subject.groups,
            scopes=subject.scopes,
            agent_verified=subject.agent_verified,
            details=token.details,
            actors=token.actors,
        )

    def _trusts(self, token: AccessToken) -> bool:
        """Tell whether the key that signed it still counts."""
        if token.issuer is not None:
            return self.issuers.trusts(token)
        return self._keys.find(token.signed_by or "") is not None


class _Shown(NamedTuple):
    scheme: bytes
    token: bytes


def _shown(authorization: bytes) -> _Shown:
    """Take the token out of the header (RFC 6750 §2.1, RFC 9449 §7.1).

    The scheme's case is free.
    """
    scheme, _, token = authorization.partition(b" ")
    scheme, token = scheme.lower(), token.strip(b" ")
    if scheme not in {b"bearer", b"dpop"} or not token or len(token) > MAX_TOKEN_BYTES:
        raise UnauthenticatedError("no bearer token", token_shown=True)
    return _Shown(scheme, token)


def _check_scheme(scheme: bytes, token: AccessToken) -> None:
    """Want a token shown as what it is.

    One that is bound to a key is none of a bearer (RFC 9449 §7.2), and one that is not
    must not seem to be proven. Raises `InvalidTokenError`.
    """
    bound = token.cnf is not None and token.cnf.key is not None
    if bound != (scheme == b"dpop"):
        said = "is bound to a key" if bound else "is bound to no key"
        raise InvalidTokenError(f"token {said}, which its scheme does not say")


def _remember(cache: OrderedDict[bytes, T], key: bytes, value: T, limit: int) -> None:
    if len(cache) >= limit:
        cache.popitem(last=False)
    cache[key] = value


def _caller(
    principal: Principal, connector: str, token: AccessToken, confirmed: int
) -> Caller:
    foreign = UNSET if token.issuer is None else token.issuer
    prefix = "" if token.issuer is None else f"{token.issuer}|"
    user, deciding_part = None, None
    if principal.user is not None:
        user = user_part(principal.user)
        within = "group:" if user.iss is UNSET else f"group:{user.iss}|"
        names = (it.removeprefix(within) for it in principal.groups)
        deciding_part = replace(user, groups=written_groups(names))
    return Caller(
        principal=principal,
        connector=connector,
        token=token,
        user_part=user,
        agent_part=AgentPart(
            client_id=principal.agent.removeprefix(prefix),
            iss=foreign,
            verified=principal.agent_verified,
            act=principal.actors,
        ),
        cred_part=CredPart(
            jti_hash=hashlib.sha256(token.jti.encode()).hexdigest(),
            scopes=tuple(sorted(principal.scopes)),
            tools=_tools(principal),
        ),
        confirmed=confirmed,
        identity=f"{principal.user} {principal.agent}",
        deciding_part=deciding_part,
    )


def _tools(principal: Principal) -> tuple[str, ...] | UnsetType:
    """Name the tools that a token is for; values of arguments stay out of the log."""
    if principal.details is None:
        return UNSET
    return tuple(sorted({tool for calls in principal.details for tool in calls.tools}))
