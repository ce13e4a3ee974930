"""Workloads: what a platform says of the program that holds its token.

Kubernetes, GitHub Actions, clouds and SPIFFE all sign JWTs; they differ in claims alone,
which the configuration matches. So there is one way to verify them, whether the token is a
client's assertion (RFC 7523 §2.2) or the grant itself (§2.1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.clock import UnixTime
from bascule.config.workloads import Workload
from bascule.errors import BasculeError
from bascule.identity.foreign_token import Unverified, is_signed
from bascule.identity.issuer_documents import ALGORITHMS, PublicKey

MAX_SECONDS = 86_400
"""Longest time until a token expires: so long one that counts once is remembered."""
_TYPES = frozenset({"", "jwt", "jose"})
"""`typ` of such tokens (SPIFFE's JWT-SVID §3.2); others are for something else."""
_OF_OTHERS = ("events", "nonce", "at_hash", "scope", "scp", "client_id")
"""Claims of security events, of ID tokens and of access tokens."""


class NoWorkloadError(BasculeError):
    """The token stands for no workload; the text is for the log, nothing of it repeated."""


@dataclass(frozen=True, slots=True)
class ShownWorkload:
    """A verified workload; a token that counts once must still be noted."""

    name: str
    """In the configuration."""
    agent: str
    issuer: str
    subject: str
    once: bytes | None
    """SHA-256 of what names the token; None where it may be shown again."""
    expires_at: UnixTime


def candidates(
    unverified: Unverified, workloads: Mapping[str, Workload]
) -> dict[str, Workload]:
    """Give the workloads whose issuer a token names; nobody vouches for that yet."""
    return {
        name: rules
        for name, rules in workloads.items()
        if rules.issuer == unverified.issuer
    }


def verify_workload(
    unverified: Unverified,
    key: PublicKey,
    rules: tuple[str, Workload],
    *,
    audiences: frozenset[str],
    now: UnixTime,
    leeway: int,
) -> ShownWorkload:
    """Verify a token against one workload; `key` is its issuer's.

    `audiences`: what `aud` may be where the workload does not say. Raises
    `NoWorkloadError`, and nothing else.
    """
    name, workload = rules
    claims = unverified.claims
    _check_kind(unverified, workload)
    wanted = frozenset({workload.audience}) if workload.audience else audiences
    _check_audience(claims, wanted)
    expires_at = _check_times(claims, now, leeway)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isprintable():
        raise NoWorkloadError("the token has no usable `sub`")
    if not _matches(workload, subject, claims):
        raise NoWorkloadError("its claims are not those of the workload")
    if not is_signed(unverified, key):
        raise NoWorkloadError("the signature is wrong")
    once = _name_of(unverified) if workload.once else None
    kept = UnixTime(expires_at + leeway + 1)
    return ShownWorkload(name, workload.agent, workload.issuer, subject, once, kept)


def _check_kind(unverified: Unverified, workload: Workload) -> None:
    if unverified.issuer != workload.issuer:
        raise NoWorkloadError("the issuer is another")
    if unverified.algorithm not in ALGORITHMS:
        raise NoWorkloadError("the algorithm is not allowed")
    if unverified.has_extensions:
        raise NoWorkloadError("the token has critical extensions")
    if unverified.type not in _TYPES or any(it in unverified.claims for it in _OF_OTHERS):
        raise NoWorkloadError("it is no workload's token")
    if "cnf" in unverified.claims or "act" in unverified.claims:
        raise NoWorkloadError("the token is bound to a key, or names who acts for whom")


def _check_audience(claims: Mapping[str, Any], wanted: frozenset[str]) -> None:
    """Want one audience: a second might be a server that sends the token on."""
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if len(meant) != 1 or not isinstance(meant[0], str) or meant[0] not in wanted:
        raise NoWorkloadError("`aud` is not this server alone")


def _check_times(claims: Mapping[str, Any], now: UnixTime, leeway: int) -> int:
    expires_at = _seconds(claims, "exp", None)
    begins = max(_seconds(claims, "nbf", 0), _seconds(claims, "iat", 0))
    if expires_at + leeway <= now:
        raise NoWorkloadError("the token has expired")
    if expires_at > now + MAX_SECONDS:
        raise NoWorkloadError("`exp` is more than a day ahead")
    if begins - leeway > now:
        raise NoWorkloadError("the token is not valid yet")
    return expires_at


def _matches(workload: Workload, subject: str, claims: Mapping[str, Any]) -> bool:
    if workload.subject and not fits(workload.subject, subject):
        return False
    for claim, wanted in workload.claims.items():
        found = claims.get(claim)
        if isinstance(wanted, str):
            if not fits(wanted, found):
                return False
            continue
        if not isinstance(found, dict):
            return False
        if not all(fits(text, found.get(inner)) for inner, text in wanted.items()):
            return False
    return bool(workload.subject or workload.claims)


def fits(pattern: str, value: object) -> bool:
    """Tell whether a text is as a pattern has it; `*` stands for any characters.

    Anything but a text fits nothing. Takes time linear in the text for each `*`.
    """
    if not isinstance(value, str):
        return False
    first, *rest = pattern.split("*")
    if not rest:
        return value == first
    *middle, last = rest
    if not value.startswith(first) or len(value) < len(first) + len(last):
        return False
    end = len(value) - len(last)
    at = len(first)
    for part in middle:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return value.endswith(last)


def _name_of(unverified: Unverified) -> bytes:
    """Give what names a token: its `jti`, else what is signed of it."""
    jti = unverified.claims.get("jti")
    signed = unverified.token.rpartition(b".")[0].decode()
    told = jti if isinstance(jti, str) and jti else signed
    return hashlib.sha256(f"workload\n{unverified.issuer}\n{told}".encode()).digest()


def _seconds(claims: Mapping[str, Any], claim: str, missing: int | None) -> int:
    value = claims.get(claim, missing)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoWorkloadError(f"the token has no usable `{claim}`")
    if not math.isfinite(value):
        raise NoWorkloadError(f"the token has no usable `{claim}`")
    return math.floor(value)
