"""What an approver signs: an in-toto Statement v1 about one entry of the lock.

    {"_type": "https://in-toto.io/Statement/v1",
     "subject": [{"name": "time", "digest": {"sha256": "…"}}],
     "predicateType": "urn:bascule:approval:v1",
     "predicate": {"decision": "approve", "approver": "alice@example.com", …}}

The statements of one connector are a chain: each has the next number and names the one
before it by its digest, so that an older one cannot be shown again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
from msgspec import Meta, Struct, field

from bascule.lock.model import LockError

MAX_STATEMENT_BYTES = 64 << 10
MAX_REASON = 2000
"""Characters."""

Decision = Literal["approve", "reject", "revoke", "break_glass"]
"""`reject` concerns one entry, `revoke` all that was approved of a connector."""

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_REASON)]


class StatementError(LockError):
    """The bytes are no statement of ours, or not as we write them."""


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of a statement's parts."""


class Subject(Part, frozen=True):
    """What it is about: a connector's name, and the digest of its entry."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    digest: dict[Literal["sha256"], Sha256]


class Approval(Part, frozen=True, kw_only=True):
    """The predicate: who decided what, why and until when."""

    decision: Decision
    approver: Annotated[str, Meta(min_length=1, max_length=200)]
    """Principal of `allowed_signers`."""
    reason: Text
    sequence: Annotated[int, Meta(ge=1, le=1 << 53)]
    """Place in the connector's chain."""
    predecessor: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    """SHA-256 of the statement before it; empty for the first."""
    issued: Annotated[int, Meta(ge=0, le=1 << 53)]
    """Unix time."""
    expires: Annotated[int, Meta(ge=0, le=1 << 53)]
    """Unix time from which it counts no more; of what denies, the time of issue."""
    author: str = ""
    """Who made the entry, as far as the approver's machine knew."""
    parts: dict[str, Sha256] = field(default_factory=dict)
    """Digest of each part of the entry."""
    findings: tuple[str, ...] = ()
    """Ids of what was accepted: advisories, and definitions that should not be served."""


class Statement(Part, frozen=True):
    """One decision about one entry."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: tuple[Subject]
    predicate_type: Literal["urn:bascule:approval:v1"] = field(name="predicateType")
    predicate: Approval

    @property
    def name(self) -> str:
        """The connector's name."""
        return self.subject[0].name

    @property
    def entry_digest(self) -> str:
        """SHA-256 of the entry."""
        return self.subject[0].digest["sha256"]


def statement(name: str, entry_digest: str, predicate: Approval) -> Statement:
    """Make a statement about one entry."""
    subject = Subject(name, {"sha256": entry_digest})
    return Statement(
        "https://in-toto.io/Statement/v1", (subject,), "urn:bascule:approval:v1", predicate
    )


def write_statement(value: Statement) -> bytes:
    """Write a statement in its canonical form (RFC 8785): what is signed.

    Raises `StatementError` for text that has none.
    """
    return canonical(value)


def canonical(value: Any) -> bytes:
    """Write a JSON value, structs included, as RFC 8785 says. Raises `StatementError`."""
    try:
        return rfc8785.dumps(msgspec.to_builtins(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as exc:
        raise StatementError("the statement has no canonical form") from exc


def parse_statement(payload: bytes) -> Statement:
    """Read a statement. Raises `StatementError`, and nothing else for any bytes.

    Only the canonical form is one: no two parsers can read it differently.
    """
    found: Statement = convert_strictly(payload, Statement)
    if write_statement(found) != payload:
        raise StatementError("the statement is not in its canonical form (RFC 8785)")
    if found.predicate.expires < found.predicate.issued:
        raise StatementError("the statement expires before it was issued")
    return found


def statement_digest(payload: bytes) -> str:
    """Hash a statement as it was signed: what its successor names."""
    return hashlib.sha256(payload).hexdigest()


def convert_strictly(content: bytes, kind: Any, *, most: int = MAX_STATEMENT_BYTES) -> Any:
    """Decode JSON without doubled or unknown keys. Raises `StatementError`."""
    if len(content) > most:
        raise StatementError(f"larger than {most} bytes")
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_without_twins, parse_constant=_refuse
        )
        return msgspec.convert(document, kind)
    except (ValueError, RecursionError) as exc:  # msgspec's errors are ValueErrors
        raise StatementError(f"not as Bascule writes it: {exc}") from exc


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
