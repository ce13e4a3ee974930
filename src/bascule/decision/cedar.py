"""The only file that knows cedarpy.

Policies go in as JSON under their `@id`, never as pasted text: a name cannot end a string
there, and Cedar then reports our ids instead of `policy0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cedarpy
import msgspec

from bascule.decision.lines import is_too_deep, statements
from bascule.decision.model import SCHEMA, Uid, schema_with, uid_json
from bascule.decision.policy import Est
from bascule.decision.residue import Residue
from bascule.errors import BasculeError

PolicySet = cedarpy.PolicySet
Entities = cedarpy.Entities

_schema = cedarpy.Schema.from_str(SCHEMA)
_position = re.compile(r"policy(\d+)")
_failure = re.compile(r"error while evaluating policy `([^`]+)`")


TOO_DEEP = "is nested too deeply: split it, or write `[…].contains(…)` for many `||`"


class CedarSyntaxError(BasculeError):
    """Text is not Cedar."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cedar's answer to one question."""

    allows: bool
    policies: tuple[str, ...] = ()
    """`@id`s that permit when it allows, else those that forbid, or that failed."""
    failed: bool = False
    """Something could not be evaluated; then it never allows."""
    obliges: tuple[tuple[str, str], ...] = ()
    """Rule of call approval, and the policy that demands it: it allows only with these."""
    depends: Residue | None = None
    """What it depends on that is not known; then it does not allow yet."""


class Applying(NamedTuple):
    """Which of some permits apply, and which failed."""

    applied: frozenset[str]
    failed: frozenset[str]


def parse(text: str) -> tuple[list[Est], bool]:
    """Read policy text: the policies in their order, and whether there are templates.

    Raises `CedarSyntaxError`.
    """
    if any(is_too_deep(it.text) for it in statements(text)):
        raise CedarSyntaxError(TOO_DEEP)  # Cedar would end the process
    try:
        document = msgspec.json.decode(cedarpy.policies_to_json_str(text))
    except (ValueError, RecursionError) as exc:
        raise CedarSyntaxError(str(exc)) from exc
    static = document["staticPolicies"]
    by_position = sorted(static, key=lambda name: int(name.removeprefix("policy")))
    return [static[name] for name in by_position], bool(document["templates"])


def written(est: Est) -> str:
    """Write a policy as text."""
    document = {"templates": {}, "staticPolicies": {"it": est}, "templateLinks": []}
    return cedarpy.policies_from_json_str(msgspec.json.encode(document).decode()).strip()


def violations(text: str) -> list[tuple[int, str]]:
    """Validate policies strictly: (position from 0, complaint) for each violation."""
    found = []
    # It may take long, and others want to go on.
    checked = cedarpy.validate_policies(text, _schema, release_gil=True)
    for error in checked.errors:
        position = _position.fullmatch(error.policy_id)
        message = error.error.removeprefix(f"for policy `{error.policy_id}`, ")
        found.append((int(position[1]) if position else 0, message))
    return sorted(set(found))


def condition_text(condition: Est) -> str:
    """Write an expression as Cedar text. Raises ValueError for what is none."""
    everything = {"op": "All"}
    policy = {
        "effect": "permit",
        "principal": everything,
        "action": everything,
        "resource": everything,
        "conditions": [{"kind": "when", "body": condition}],
    }
    text = _text_of(msgspec.json.encode(policy).decode())
    return text.partition("when {")[2].strip().removesuffix(";").removesuffix("}").strip()


def violations_with(est: Est, arguments: str) -> tuple[str, ...]:
    """Validate a policy strictly for tools whose arguments have a Cedar type.

    Policies and types mostly stay when something is reloaded, so answers are kept.
    """
    return _violations_with(msgspec.json.encode(est).decode(), arguments)


@lru_cache(8192)
def _violations_with(est: str, arguments: str) -> tuple[str, ...]:
    errors = cedarpy.validate_policies(_text_of(est), _typed_schema(arguments)).errors
    messages = {it.error.removeprefix(f"for policy `{it.policy_id}`, ") for it in errors}
    return tuple(sorted(messages))


@lru_cache(1024)
def _typed_schema(arguments: str) -> cedarpy.Schema:
    return cedarpy.Schema.from_str(schema_with(arguments))


def _text_of(est: str) -> str:
    document = f'{{"templates":{{}},"staticPolicies":{{"it":{est}}},"templateLinks":[]}}'
    return cedarpy.policies_from_json_str(document)


def can_be_kept(est: Est) -> bool:
    """Tell whether a policy that was parsed can be evaluated: not when it is too deep."""
    try:
        policy_set({"": est})
    except (ValueError, RecursionError):
        return False
    return True


def policy_set(ests: Mapping[str, Est]) -> PolicySet:
    """Parse policies under their ids, once for many evaluations."""
    document = {"templates": {}, "staticPolicies": ests, "templateLinks": []}
    return PolicySet.from_json_str(msgspec.json.encode(document).decode())


def entities(documents: Iterable[Mapping[str, Any]]) -> Entities:
    """Parse entities, and with them the actions of the schema and their group `use`.

    Raises ValueError for what the schema does not know.
    """
    return Entities.from_json_str(msgspec.json.encode(list(documents)).decode(), _schema)


def with_entity(base: Entities, document: Mapping[str, Any]) -> Entities:
    """Make a copy with one entity more."""
    return base.with_added_json_str(msgspec.json.encode([document]).decode())


def evaluate(
    policies: PolicySet,
    known: Entities,
    *,
    principal: Uid,
    action: Uid,
    resource: Uid,
    context: str,
) -> Verdict:
    """Ask Cedar one question.

    Cedar skips a policy that errors, so a broken `forbid` would not forbid: an answer that
    comes with any error does not allow here.
    """
    request = _request(principal, action, resource, context)
    result = cedarpy.is_authorized(request, policies, known)
    diagnostics = result.diagnostics
    if diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        return Verdict(False, _blamed(diagnostics.errors), failed=True)
    allows = result.decision is cedarpy.Decision.Allow
    return Verdict(allows, tuple(sorted(diagnostics.reasons)))


def applying(
    permits: PolicySet,
    known: Entities,
    *,
    principal: Uid,
    action: Uid,
    resource: Uid,
    context: str,
) -> Applying:
    """Ask Cedar which policies of a set of permits apply.

    Raises ValueError when it does not say.
    """
    request = _request(principal, action, resource, context)
    result = cedarpy.is_authorized(request, permits, known)
    diagnostics = result.diagnostics
    failed = _blamed(diagnostics.errors)
    nothing_said = result.decision is cedarpy.Decision.NoDecision
    if nothing_said or len(failed) != len(diagnostics.errors):
        raise ValueError("Cedar did not say which policies apply")
    return Applying(frozenset(diagnostics.reasons), frozenset(failed))


def _request(principal: Uid, action: Uid, resource: Uid, context: str) -> dict[str, Any]:
    return {
        "principal": uid_json(principal),
        "action": uid_json(action),
        "resource": uid_json(resource),
        "context": context,
    }


def _blamed(errors: Sequence[str]) -> tuple[str, ...]:
    found = (_failure.match(error) for error in errors)
    return tuple(sorted({match[1] for match in found if match}))
