"""What the gateway writes into the log: before a call goes upstream, and after."""

from __future__ import annotations

import base64
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import UNSET, Struct

from bascule.audit.record import (
    RECORD_VERSION,
    ArgsPart,
    AuthzPart,
    McpPart,
    Record,
    ResultPart,
    SrcPart,
    clip,
    encode,
)
from bascule.audit.writer import LogUnavailableError
from bascule.clock import Entropy, monotonic, new_id, system_micros
from bascule.decision.facts import Allowed, CallFacts, Decision, Reason
from bascule.gateway.callers import Caller
from bascule.gateway.relay import Outcome
from bascule.gateway.steps import Step
from bascule.protocol import modern

MAX_NAME_CHARACTERS = 512
CODE_BYTES = 12
MAX_COUNTED_SOURCES = 20


class LeafSink(Protocol):
    """Where leaves go: the group commit of the audit log."""

    def append(
        self,
        leaf: bytes,
        on_durable: Callable[[bool], None] | None = None,
        opening: bytes | None = None,
    ) -> None:
        """Take a leaf and say later whether it is on disk.

        Raises `LogUnavailableError` when nothing can be taken.
        """


class Entry(Struct, frozen=True):
    """A decided record on its way to the disk."""

    id: str
    code: str
    """Random id that a refused client is given; empty when allowed."""
    durable: Step[bool]
    facts: CallFacts
    caller: Caller
    started: float
    """Monotonic seconds."""


class Journal:
    """Writes the records of one process."""

    def __init__(
        self, sink: LeafSink, *, log: str, writer: str, boot: str, entropy: Entropy
    ):
        self._sink = sink
        self._log = log
        self._writer = writer
        self._boot = boot
        self._entropy = entropy
        self.decisions: Counter[tuple[str, str]] = Counter()
        """Decisions by result and reason, since the start."""
        self.outcomes: Counter[str] = Counter()
        """Forwarded requests by outcome, since the start."""
        self.authentication_failures = 0
        self.refuses = False
        """Records wait too long to be taken into the tree: nothing more may happen."""

    def decided(
        self,
        caller: Caller,
        facts: CallFacts,
        decision: Decision,
        *,
        peer: str,
        policy_digest: str,
        args: ArgsPart | None,
        opening: bytes | None,
    ) -> Entry:
        """Hand in the record of a decision; wait for `durable` before acting on it.

        Raises `LogUnavailableError`.
        """
        if self.refuses:
            raise LogUnavailableError("records are not taken into the log")
        now = system_micros()
        record_id = new_id(now)
        allowed = isinstance(decision, Allowed)
        code = "" if allowed else self._random_code()
        record = Record(
            agent=caller.agent_part,
            args=args or UNSET,
            authz=AuthzPart(
                decision="allow" if allowed else "deny",
                policies=decision.policies,
                policy_digest=policy_digest,
                reason=decision.reason.value,
            ),
            boot=self._boot,
            code=code or UNSET,
            connector=facts.connector,
            cred=caller.cred_part,
            id=record_id,
            log=self._log,
            mcp=McpPart(
                method=clip(facts.method, MAX_NAME_CHARACTERS),
                name=clip(facts.name, MAX_NAME_CHARACTERS)
                if facts.kind != "none"
                else UNSET,
                proto=modern.VERSION,
            ),
            src=SrcPart(ip=peer),
            stage="decided",
            ts=now,
            type=_type_of(decision, allowed=allowed),
            user=caller.user_part or UNSET,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        self.decisions["allow" if allowed else "deny", decision.reason.value] += 1
        durable: Step[bool] = Step()
        self._sink.append(encode(record), durable.resolve, opening)
        return Entry(record_id, code, durable, facts, caller, monotonic())

    def completed(self, entry: Entry, outcome: Outcome) -> None:
        """Hand in how a forwarded request ended.

        The effect is there whether or not this can be written, so nobody waits for it and
        nothing is raised; a decision without it is closed as `outcome_unknown` at the next
        start.
        """
        self.outcomes[outcome.outcome] += 1
        now = system_micros()
        record = Record(
            agent=entry.caller.agent_part,
            boot=self._boot,
            connector=entry.facts.connector,
            dur_us=int((monotonic() - entry.started) * 1_000_000),
            id=new_id(now),
            log=self._log,
            parent=entry.id,
            result=ResultPart(
                bytes=outcome.bytes,
                error=UNSET if outcome.error_code is None else outcome.error_code,
                is_error=outcome.is_error,
                outcome=outcome.outcome,
                status=UNSET if outcome.status is None else outcome.status,
            ),
            stage="completed",
            ts=now,
            type="call.end",
            user=entry.caller.user_part or UNSET,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        with contextlib.suppress(LogUnavailableError):
            self._sink.append(encode(record))

    def authentication_failed(self, peer: str, connector: str, reason: str) -> None:
        """Hand in a request without a valid token; nobody waits for it."""
        self._event("auth.fail", peer, connector=connector, reason=reason)

    def authentication_failures_counted(self, counts: Mapping[str, int]) -> None:
        """Hand in the failures of a minute that were not recorded one by one."""
        top = sorted(counts.items(), key=lambda item: -item[1])[:MAX_COUNTED_SOURCES]
        for peer, count in top:
            self._event("auth.fail", peer, reason="repeated", count=count)
        rest = sum(counts.values()) - sum(count for _, count in top)
        if rest:
            self._event("auth.fail", "others", reason="repeated", count=rest)

    def _event(
        self,
        type: str,
        peer: str,
        *,
        reason: str,
        connector: str | None = None,
        count: int | None = None,
    ) -> None:
        now = system_micros()
        record = Record(
            authz=AuthzPart(decision="deny", reason=reason),
            boot=self._boot,
            connector=connector or UNSET,
            count=UNSET if count is None else count,
            id=new_id(now),
            log=self._log,
            src=SrcPart(ip=peer),
            stage="event",
            ts=now,
            type=type,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        with contextlib.suppress(LogUnavailableError):
            self._sink.append(encode(record))

    def _random_code(self) -> str:
        return base64.urlsafe_b64encode(self._entropy(CODE_BYTES)).decode("ascii")


def _type_of(decision: Decision, *, allowed: bool) -> str:
    if not allowed:
        return "authz.decision"
    return "list" if decision.reason is Reason.OPEN_METHOD else "call.start"
