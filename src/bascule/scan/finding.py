"""Findings: what breaks a promise, with evidence and the way out."""

from __future__ import annotations

import hashlib

from msgspec import UNSET, Struct, UnsetType

from bascule.scan.rule import Promise, Rule, Severity

_DIGITS = 12
"""Hexadecimal digits that tell the findings of one rule apart."""


class Finding(Struct, frozen=True, kw_only=True):
    """One finding, as it is printed."""

    id: str
    """The same for the same thing in every scan: baselines name it."""
    rule: str
    severity: Severity
    promise: Promise
    target: str
    """What it is about: a URL, a file, or `FILE: NAME` of a server in it."""
    title: str
    evidence: str
    """What was seen; never a secret."""
    fix: str
    owasp: tuple[str, ...]
    path: str | UnsetType = UNSET
    """File of the evidence, where there is one."""
    line: int | UnsetType = UNSET
    """Line in it, from 1 on."""


def found(
    rule: Rule,
    target: str,
    evidence: str,
    *,
    key: str = "",
    severity: Severity | None = None,
    title: str | None = None,
    fix: str | None = None,
    path: str | UnsetType = UNSET,
    line: int | UnsetType = UNSET,
) -> Finding:
    """Make a finding of a rule.

    `key` tells several findings of one rule at one target apart. It and `target` make the
    id, so that nothing belongs in them that is other at the next scan: times, process
    numbers, ports that the system chose.
    """
    return Finding(
        id=_identifier(rule.id, target, key),
        rule=rule.id,
        severity=severity or rule.severity,
        promise=rule.promise,
        target=target,
        title=title or rule.title,
        evidence=evidence,
        fix=fix or rule.fix,
        owasp=rule.owasp,
        path=path,
        line=line,
    )


def _identifier(rule: str, target: str, key: str) -> str:
    told_apart = "\0".join((rule, target, key)).encode(errors="surrogatepass")
    return f"{rule}-{hashlib.sha256(told_apart).hexdigest()[:_DIGITS]}"
