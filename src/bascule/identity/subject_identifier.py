"""Whom a notice is about: subject identifiers (RFC 9493), as far as they name an identity.

E-mail addresses and telephone numbers name nobody here: they change their owners.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bascule.identity.notice import InvalidNoticeError, Notice

MAX_CHARACTERS = 255
MAX_ALIASES = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody, or one session of somebody, in the eyes of one issuer."""

    kind: Literal["user", "external", "session"]
    """What `id` is: a `sub`, an id of provisioning, or a `sid`."""
    id: str


def subjects_of(identifier: object, notice: Notice) -> tuple[Subject, ...]:
    """Read an identifier; it must be of the issuer that signed the notice.

    There is one at least. Aliases are several names of one user, who may be known here by
    any of them; a complex identifier (CAEP §2, SSF §3.3) may name a session beside the
    user. Raises `InvalidNoticeError`.
    """
    found = tuple(_subjects(identifier, notice, depth=0))
    if not found:
        raise InvalidNoticeError("it names nobody by `iss_sub` or `opaque`")
    return found


def _subjects(identifier: object, notice: Notice, *, depth: int) -> Iterator[Subject]:
    if not isinstance(identifier, dict) or depth > 1:
        return
    kind = identifier.get("format", identifier.get("subject_type"))
    match kind if isinstance(kind, str) else "":
        case "iss_sub" | "iss-sub":
            yield Subject("user", _sub(identifier, notice))
        case "opaque":
            yield Subject("external", _text(identifier.get("id")))
        case "aliases":
            aliases = identifier.get("identifiers")
            for it in aliases[:MAX_ALIASES] if isinstance(aliases, list) else ():
                yield from _subjects(it, notice, depth=depth + 1)
        case "complex" | "":
            yield from _subjects(identifier.get("user"), notice, depth=depth + 1)
            session = identifier.get("session")
            if isinstance(session, dict) and session.get("format") == "opaque":
                yield Subject("session", _text(session.get("id")))
        case _:
            return


def _sub(identifier: dict[str, object], notice: Notice) -> str:
    """Give the `sub`: nobody speaks of another issuer's users."""
    if identifier.get("iss") not in {notice.issuer, notice.signed_as}:
        raise InvalidNoticeError("its subject is another issuer's", "invalid_issuer")
    return _text(identifier.get("sub"))


def _text(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_CHARACTERS and value.isprintable():
        return value
    raise InvalidNoticeError("its subject has no usable name")
