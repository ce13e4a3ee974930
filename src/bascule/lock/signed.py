"""From the bytes of an approval to what it says and who has validly signed it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from bascule.clock import UnixTime
from bascule.lock.dsse import Envelope, pae, parse_envelope
from bascule.lock.ledger import UnfitError
from bascule.lock.signers import Signers
from bascule.lock.sshsig import NAMESPACE, SignatureError, verify
from bascule.lock.statement import (
    Statement,
    StatementError,
    parse_statement,
    statement_digest,
)


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement, and those whose signatures on it are valid."""

    statement: Statement
    digest: str
    principals: frozenset[str]


@lru_cache(1024)  # the same are looked at again and again, and mean the same each time
def read_signed(
    content: bytes, signers: Signers, *, name: str, recorded_at: UnixTime
) -> Signed:
    """Verify an envelope about a connector.

    Every signature must be valid, each by a key that was so when the statement says that
    it was issued and when it was first seen here. Raises `UnfitError`, and nothing else for
    any bytes.
    """
    try:
        envelope = parse_envelope(content)
        found = parse_statement(envelope.payload)
    except StatementError as exc:
        raise UnfitError("malformed", str(exc)) from exc
    if found.name != name:
        raise UnfitError("wrong_entry", f"it is about connector `{found.name}`")
    issued = UnixTime(found.predicate.issued)
    principals = valid_signers(envelope, signers, issued, recorded_at)
    approver = found.predicate.approver
    if approver not in principals:
        raise UnfitError("unknown_signer", f"{approver}, its approver, has not signed it")
    return Signed(found, statement_digest(envelope.payload), principals)


def valid_signers(envelope: Envelope, signers: Signers, *times: UnixTime) -> frozenset[str]:
    """Give who has signed an envelope. Raises `UnfitError` unless all of it is valid."""
    message = pae(envelope.payload)
    found = set()
    for keyid, signature in envelope.signatures:
        try:
            key = verify(message, signature, namespace=NAMESPACE)
        except SignatureError as exc:
            raise UnfitError("bad_signature", str(exc)) from exc
        if key.fingerprint != keyid:
            raise UnfitError("bad_signature", "it names another key than the one it is by")
        signer = signers.find(key)
        if signer is None:
            raise UnfitError(
                "unknown_signer",
                f"key {keyid} is not in `allowed_signers`, and one that an installation "
                "keeps counts there alone (`approve --key` signs with yours)",
            )
        problem = signer.problem(*times)
        if problem is not None:
            raise UnfitError("unknown_signer", problem)
        found.add(signer.principal)
    return frozenset(found)
