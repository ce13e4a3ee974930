"""Names of security events: what `[providers.NAME.signals] events` may speak of."""

from __future__ import annotations

_BASE = "https://schemas.openid.net/secevent"
CAEP = f"{_BASE}/caep/event-type/"
"""What the URIs of events of CAEP 1.0 begin with."""
RISC = f"{_BASE}/risc/event-type/"
"""Those of RISC 1.0."""
OAUTH = f"{_BASE}/oauth/event-type/"
"""Those about tokens of OAuth."""

_CAEP_NAMES = (
    "assurance-level-change",
    "credential-change",
    "device-compliance-change",
    "risk-level-change",
    "session-established",
    "session-presented",
    "session-revoked",
    "token-claims-change",
)
_RISC_NAMES = (
    "account-credential-change-required",
    "account-disabled",
    "account-enabled",
    "account-purged",
    "credential-compromise",
    "identifier-changed",
    "identifier-recycled",
    "opt-in",
    "opt-out-cancelled",
    "opt-out-effective",
    "opt-out-initiated",
    "recovery-activated",
    "recovery-information-changed",
    "sessions-revoked",
)
_OAUTH_NAMES = ("token-revoked", "tokens-revoked")
KNOWN_URIS = frozenset(
    start + name
    for start, names in ((CAEP, _CAEP_NAMES), (RISC, _RISC_NAMES), (OAUTH, _OAUTH_NAMES))
    for name in names
)
"""Every event that has a name in those specifications (CAEP 1.0 §3, RISC 1.0 §2)."""
KNOWN_NAMES = tuple(sorted(uri.rpartition("/")[2] for uri in KNOWN_URIS))
"""Their last parts, no two of which are the same."""


def is_event_name(name: str) -> bool:
    """Tell whether an event can have that name: a known one, or a URI of somebody else's.

    A URI below `schemas.openid.net` that is none of those there is misspelt.
    """
    if name in KNOWN_NAMES or name in KNOWN_URIS:
        return True
    return ":" in name and not name.startswith("https://schemas.openid.net/")
