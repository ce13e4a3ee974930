"""Rules: what a scan looks for, why it matters, and what to do about it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["critical", "high", "medium", "low", "info"]
Promise = Literal["known", "entitled", "approved", "bounded", "traced"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""The worst first."""


class Rule(Struct, frozen=True, kw_only=True):
    """One thing that a scan looks for; its findings repeat none of this but the title."""

    id: str
    """Kebab-case, never used for anything else again: baselines name it."""
    severity: Severity
    """Of a finding that does not say otherwise."""
    promise: Promise
    """The one that is broken."""
    title: str
    """What is so, in a few words."""
    why: str
    """Who can do what because of it."""
    fix: str
    """The exact thing to do."""
    owasp: tuple[str, ...] = ()
    """OWASP MCP Top 10 (2025): `MCP07`."""
    agentic: tuple[str, ...] = ()
    """OWASP Top 10 for Agentic Applications (2026): `ASI03`."""
    safe_mcp: tuple[str, ...] = ()
    """SAFE-MCP techniques: `SAFE-T1001`."""
    cosai: tuple[str, ...] = ()
    """Threat classes of CoSAI's MCP Security: `MCP-T1`."""
    cwe: tuple[int, ...] = ()
    """Common Weakness Enumeration: 306."""


def reaches(severity: Severity, threshold: Severity) -> bool:
    """Tell whether a severity is as bad as a threshold, or worse."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
