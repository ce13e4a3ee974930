"""What a call approval is good for: one caller's call of one tool with these arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import rfc8785

from bascule.decision.facts import Allowed, CallFacts, CallToApprove, Denied, Reason
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError

MAX_BYTES = 256 << 10
"""Arguments that are longer when written cannot be approved: nobody reads them."""
_USE = "call approval 1"


class UnreadableCallError(BasculeError):
    """Nobody can consent to such arguments; the message says why, without a value."""


def with_consent(
    facts: CallFacts, decision: Allowed, snapshot: Snapshot
) -> Allowed | Denied:
    """Allow a call that has obligations if an approval of just this call is there.

    What is then sent are the arguments that were approved, in the one way to write them.
    """
    policies = tuple(name for _, name in decision.obligations)
    arguments = facts.arguments if decision.arguments is None else decision.arguments
    try:
        call = _call_of(facts, arguments or {}, decision, snapshot)
    except UnreadableCallError as exc:
        detail = f"the call needs an approval, and its arguments {exc}"
        return Denied(Reason.INVALID_ARGUMENTS, policies, detail=detail)
    if facts.consent is not None and facts.consent.binding == call.binding:
        return replace(decision, arguments=read(call.arguments))
    detail = "somebody must approve this call"
    return Denied(Reason.APPROVAL_REQUIRED, policies, detail=detail, call=call)


def _call_of(
    facts: CallFacts, arguments: Mapping[str, Any], decision: Allowed, snapshot: Snapshot
) -> CallToApprove:
    text = written(arguments)
    digest, definition = digest_of(text), facts.definition or ""
    rules = tuple(sorted({rule for rule, _ in decision.obligations}))
    binding = binding_of(
        user=facts.principal.user,
        agent=facts.principal.agent,
        connector=facts.connector,
        tool=facts.name,
        arguments_digest=digest,
        definition=definition,
        policy_digest=snapshot.rights_digest,
        rules=rules,
    )
    return CallToApprove(binding, rules, text, digest, definition, snapshot.rights_digest)


def written(arguments: Mapping[str, Any]) -> bytes:
    """Write arguments as they are shown, bound and sent: canonically (RFC 8785).

    Equal bytes mean the same to every reader of JSON: members are in order, and a number
    has one spelling. Raises `UnreadableCallError`.
    """
    try:
        text = rfc8785.dumps(dict(arguments))
        rfc8785.dumps(read(text))  # a float beyond 2^53 is written as an integer
    except rfc8785.IntegerDomainError as exc:
        raise UnreadableCallError("hold an integer beyond 2^53 - 1") from exc
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as exc:
        raise UnreadableCallError("cannot be written canonically") from exc
    if len(text) > MAX_BYTES:
        raise UnreadableCallError(f"are longer than {MAX_BYTES >> 10} KiB")
    return text


def read(arguments: bytes) -> dict[str, Any]:
    """Read what `written` wrote."""
    return msgspec.json.decode(arguments, type=dict[str, Any])


def digest_of(arguments: bytes) -> str:
    """Give the digest of written arguments, SHA-256 in hex."""
    return hashlib.sha256(arguments).hexdigest()


def binding_of(
    *,
    user: str | None,
    agent: str,
    connector: str,
    tool: str,
    arguments_digest: str,
    definition: str,
    policy_digest: str,
    rules: tuple[str, ...],
) -> str:
    """Give what one call approval is good for, SHA-256 in hex.

    `definition`: digest of what the server serves under the tool's name, empty where none
    is compared. `rules`: those that demand it, sorted; what satisfies one is no answer to
    another that came to it since. Each value stands for itself: no two calls have one
    binding.
    """
    said = [
        _USE,
        user,
        agent,
        connector,
        tool,
        arguments_digest,
        definition,
        policy_digest,
        rules,
    ]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
