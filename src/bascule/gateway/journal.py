"""What the gateway writes into the log: before a call goes upstream, and after."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from bascule.audit.once import Once
from bascule.audit.record import (
    RECORD_VERSION,
    ArgsPart,
    AuthzPart,
    McpPart,
    Record,
    ResultPart,
    ShadowPart,
    SrcPart,
    clip,
    encode,
    encode_part,
    form,
)
from bascule.audit.writer import LogUnavailableError
from bascule.clock import Entropy, monotonic, new_id, system_micros
from bascule.decision.decide import KINDS
from bascule.decision.facts import Allowed, CallFacts, Reason, Settled
from bascule.gateway.callers import Caller
from bascule.gateway.relay import Outcome
from bascule.gateway.steps import Step
from bascule.protocol import modern
from bascule.scan.text.served import Judged

MAX_NAME_CHARACTERS = 512
MAX_SAID_CHARACTERS = 2000
CODE_BYTES = 12
MAX_COUNTED_SOURCES = 20
MAX_FORMS = 2048
MAX_RESULT_FORMS = 256

_DECIDED_WITHOUT_ARGS = {"id": b'"%b"', "ts": b"%d"}
_DECIDED = {"args": b"%b", **_DECIDED_WITHOUT_ARGS}
_REFUSED = {"code": b'"%b"'}
_COMPLETED = {
    "dur_us": b"%d",
    "id": b'"%b"',
    "parent": b'"%b"',
    "result": b"%b",
    "ts": b"%d",
}

FormsKey = tuple[Caller, str, str, str]
"""Caller, method, kind, name."""


class LeafSink(Protocol):
    """Where leaves go: the group commit of the audit log."""

    def append(
        self,
        leaf: bytes,
        on_durable: Callable[[bool], None] | None = None,
        opening: bytes | None = None,
        once: Once | None = None,
    ) -> None:
        """Take a leaf and say later whether it is on disk.

        Raises `LogUnavailableError` when nothing can be taken.
        """


DecidedSo = tuple[
    Settled,
    str,
    str,
    str,
    str | None,
    str,
    bool,
    str,
    frozenset[str],
    ShadowPart | UnsetType,
]
"""Decision, policy digest, peer, revision, definition, mode, whether with arguments, call
approval, what was touched before, and what rights that are tried out say otherwise."""


class Forms(Struct, frozen=True):
    """The records of one caller's calls of one name, but for what differs each time."""

    so: DecidedSo
    """They are of calls that were decided so."""
    counted: tuple[str, str]
    """Result and reason, for the counter."""
    decided: bytes
    completed: bytes


class Entry(Struct, frozen=True):
    """A decided record on its way to the disk."""

    id: str
    code: str
    """Random id that a refused client is given; empty when allowed."""
    durable: Step[bool]
    forms: Forms
    started: float
    """Monotonic seconds."""
    once: Once | None = None
    """What the request showed that counts once, unless that was noted already."""


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
        self.shadowed: Counter[tuple[str, str]] = Counter()
        """Decisions by what they came to, and what it would be by rights to try out."""
        self.authentication_failures = 0
        self._forms: dict[FormsKey, Forms] = {}
        self.refuses = False
        """Records wait too long to be taken into the tree: nothing more may happen."""

    def decided(
        self,
        caller: Caller,
        facts: CallFacts,
        decision: Settled,
        *,
        peer: str,
        policy_digest: str,
        args: ArgsPart | None,
        opening: bytes | None,
        proto: str = modern.VERSION,
        mode: str = "",
        approval: str = "",
        shadow: ShadowPart | UnsetType = UNSET,
        once: Once | None = None,
    ) -> Entry:
        """Hand in the record of a decision; wait for `durable` before acting on it.

        `mode`: of a connector that has a gate. `approval`: id of the call approval that it
        is about. `shadow`: see there. `once`: what must not have been shown before.
        Raises `LogUnavailableError`.
        """
        if self.refuses:
            raise LogUnavailableError("records are not taken into the log")
        key = (caller, facts.method, facts.kind, facts.name)
        so = (
            _without_values(decision),
            policy_digest,
            peer,
            proto,
            facts.definition,
            mode,
            args is not None,
            approval,
            facts.touched,
            shadow,
        )
        forms = self._forms.get(key)
        if forms is None or forms.so != so:
            forms = self._make_forms(caller, facts, so)
            self._keep(key, forms)
        now = system_micros()
        record_id = new_id(now)
        blanks: tuple[bytes | int, ...] = (record_id.encode(), now)
        code = ""
        if not isinstance(decision, Allowed):
            code = self._random_code()
            blanks = (code.encode(), *blanks)
        if args is not None:
            blanks = (encode_part(args), *blanks)
        self.decisions[forms.counted] += 1
        durable: Step[bool] = Step()
        self._sink.append(forms.decided % blanks, durable.resolve, opening, once)
        return Entry(record_id, code, durable, forms, monotonic(), once)

    def claimed(self, once: Once) -> Step[bool]:
        """Note by itself what counts once, before anything else is used up.

        Raises `LogUnavailableError`.
        """
        if self.refuses:
            raise LogUnavailableError("records are not taken into the log")
        durable: Step[bool] = Step()
        self._sink.append(b"", durable.resolve, None, once)
        return durable

    def completed(self, entry: Entry, outcome: Outcome) -> None:
        """Hand in how a forwarded request ended.

        The effect is there whether or not this can be written, so nobody waits for it and
        nothing is raised; a decision without it is closed as `outcome_unknown` at the next
        start.
        """
        self.outcomes[outcome.outcome] += 1
        now = system_micros()
        result = _result_form(
            outcome.outcome, outcome.status, outcome.error_code, outcome.is_error
        )
        leaf = entry.forms.completed % (
            int((monotonic() - entry.started) * 1_000_000),
            new_id(now).encode(),
            entry.id.encode(),
            result % outcome.bytes,
            now,
        )
        try:
            self._sink.append(leaf)
        except LogUnavailableError:
            return

    def _make_forms(self, caller: Caller, facts: CallFacts, so: DecidedSo) -> Forms:
        """Encode once what all records of such calls say."""
        decision, policy_digest, peer, proto, definition, mode, with_args = so[:7]
        approval, touched, shadow = so[7:]
        result = "allow" if isinstance(decision, Allowed) else "deny"
        reason = decision.reason.value
        named = facts.kind != "none"
        common = Record(
            agent=caller.agent_part,
            boot=self._boot,
            connector=facts.connector,
            id="",
            log=self._log,
            stage="decided",
            ts=0,
            type=_type_of(decision),
            user=caller.user_part or UNSET,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        decided = replace(
            common,
            authz=AuthzPart(
                approval=approval or UNSET,
                decision=result,
                definition=definition or UNSET,
                finding=_finding(decision),
                mode=mode or UNSET,
                policies=decision.policies,
                policy_digest=policy_digest,
                reason=reason,
                shadow=shadow,
                touched=tuple(sorted(touched)),
            ),
            cred=caller.cred_part,
            mcp=McpPart(
                kind=_kind_of(facts),
                method=clip(facts.method, MAX_NAME_CHARACTERS),
                name=clip(facts.name, MAX_NAME_CHARACTERS) if named else UNSET,
                proto=proto,
            ),
            src=SrcPart(ip=peer),
            user=caller.deciding_part or UNSET,
        )
        completed = replace(common, stage="completed", type="call.end")
        blanks = _DECIDED if with_args else _DECIDED_WITHOUT_ARGS
        return Forms(
            so=so,
            counted=(result, reason),
            decided=form(decided, {**blanks, **(_REFUSED if result == "deny" else {})}),
            completed=form(completed, _COMPLETED),
        )

    def _keep(self, key: FormsKey, forms: Forms) -> None:
        """Remember forms, within bounds: a caller chooses the names."""
        _, method, _, name = key
        if max(len(method), len(name)) > MAX_NAME_CHARACTERS:
            return
        if len(self._forms) >= MAX_FORMS and key not in self._forms:
            del self._forms[next(iter(self._forms))]
        self._forms[key] = forms

    def passing(
        self,
        type: str,
        caller: Caller,
        method: str,
        *,
        peer: str,
        proto: str,
        once: Once | None = None,
    ) -> Step[bool]:
        """Hand in what goes upstream without being a request; wait before it goes.

        Raises `LogUnavailableError`.
        """
        if self.refuses:
            raise LogUnavailableError("records are not taken into the log")
        now = system_micros()
        record = Record(
            agent=caller.agent_part,
            boot=self._boot,
            connector=caller.connector,
            cred=caller.cred_part,
            id=new_id(now),
            log=self._log,
            mcp=McpPart(method=method, proto=proto),
            src=SrcPart(ip=peer),
            stage="event",
            ts=now,
            type=type,
            user=caller.user_part or UNSET,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        durable: Step[bool] = Step()
        self._sink.append(encode(record), durable.resolve, None, once)
        return durable

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

    def deviates(
        self, connector: str, kind: str, name: str, reason: Reason, have: str, mode: str
    ) -> None:
        """Hand in that a server serves what was not approved; nobody waits for it.

        `kind`: the list that it stands in, `instructions` or `server`; `have`: its digest.
        """
        authz = AuthzPart(
            decision="deny" if mode == "enforce" else "allow",
            mode=mode,
            reason=reason.value,
        )
        admin = {"digest": have, "kind": kind}
        self._of_definition("definition.deviates", connector, kind, name, admin, authz)

    def suspects(self, connector: str, kind: str, name: str, found: Judged) -> None:
        """Hand in that what a server serves, and nobody approved, looks like an attack."""
        admin = {
            "kind": kind,
            "text": found.id,
            "tier": found.tier,
            "rules": " ".join(it.rule for it in found.evidence),
            "said": clip(found.told(), MAX_SAID_CHARACTERS),
        }
        self._of_definition("definition.suspicious", connector, kind, name, admin, UNSET)

    def _of_definition(
        self,
        type: str,
        connector: str,
        kind: str,
        name: str,
        admin: dict[str, str],
        authz: AuthzPart | UnsetType,
    ) -> None:
        now = system_micros()
        record = Record(
            admin=admin,
            authz=authz,
            boot=self._boot,
            connector=connector,
            id=new_id(now),
            log=self._log,
            mcp=McpPart(method=kind, name=clip(name, MAX_NAME_CHARACTERS) or UNSET),
            stage="event",
            ts=now,
            type=type,
            v=RECORD_VERSION,
            writer=self._writer,
        )
        with contextlib.suppress(LogUnavailableError):
            self._sink.append(encode(record))

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


def _kind_of(facts: CallFacts) -> str | UnsetType:
    """Give what is named, where the method alone does not say it."""
    return facts.kind if len(KINDS.get(facts.method, ())) > 1 else UNSET


def _without_values(decision: Settled) -> Settled:
    """Leave arguments out: they are large, and another each time."""
    if isinstance(decision, Allowed):
        known = decision.arguments is None
        return decision if known else dataclasses.replace(decision, arguments=None)
    known = decision.call is None and not decision.detail
    return decision if known else dataclasses.replace(decision, call=None, detail="")


def _finding(decision: Settled) -> str | UnsetType:
    if isinstance(decision, Allowed) and decision.finding is not None:
        return decision.finding.value
    return UNSET


@lru_cache(MAX_RESULT_FORMS)
def _result_form(
    outcome: str, status: int | None, error_code: int | None, is_error: bool
) -> bytes:
    """Encode once what the results of many requests say, but for their size."""
    part = ResultPart(
        bytes=0,
        error=UNSET if error_code is None else error_code,
        is_error=is_error,
        outcome=outcome,
        status=UNSET if status is None else status,
    )
    return encode_part(part).replace(b'"bytes":0', b'"bytes":%d', 1)


def _type_of(decision: Settled) -> str:
    if not isinstance(decision, Allowed):
        return "authz.decision"
    return "list" if decision.reason is Reason.OPEN_METHOD else "call.start"
