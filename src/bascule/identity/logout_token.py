"""Logout tokens: a provider says who has signed out (OpenID Back-Channel Logout §2.4)."""

from __future__ import annotations

from bascule.identity.notice import InvalidNoticeError, Notice
from bascule.identity.subject_identifier import MAX_CHARACTERS, Subject

TYPES = frozenset({"logout+jwt", "jwt", ""})
"""`typ` is recommended only (§2.4); `events` tells these tokens from all others."""
EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE_SECONDS = 600


def ended_by(notice: Notice) -> tuple[Subject, str | None]:
    """Give what has ended, and whose it is when the token says so.

    With a `sid`, one session; otherwise all that the user has. Raises
    `InvalidNoticeError` for what is no logout token (§2.6).
    """
    claims = notice.claims
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise InvalidNoticeError("it tells of no logout")
    if "nonce" in claims:
        raise InvalidNoticeError("it has a `nonce`: it is an ID token")
    user, session = claims.get("sub"), claims.get("sid")
    for value in (user, session):
        if value is not None and not _is_name(value):
            raise InvalidNoticeError("`sub` or `sid` is unusable")
    if session is not None:
        return Subject("session", session), user
    if user is not None:
        return Subject("user", user), user
    raise InvalidNoticeError("it has neither `sub` nor `sid`")


def _is_name(value: object) -> bool:
    usable = isinstance(value, str) and value.isprintable()
    return usable and 0 < len(str(value)) <= MAX_CHARACTERS
