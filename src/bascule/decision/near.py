"""Policies that nearly count: of each, the fact that is missing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.callers import Question
from bascule.decision.compile import BUILT_IN_AGENT
from bascule.decision.conditions import conjuncts, paths, text_of
from bascule.decision.evaluation import Evaluation
from bascule.decision.facts import CallFacts
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.policy import Est, Policy, policy_of

MAX_NAMED = 8
"""Members or values that are written out."""
MAX_VALUE = 120
"""Characters of a value that are shown."""

Facts = Mapping[str, object]
"""What conditions look at: `context` and `resource`, with all that is in them."""


class Nearly(Struct, frozen=True):
    """A policy that is not decisive, and would be if one thing were different."""

    policy: str
    effect: Literal["permit", "forbid"]
    missing: str
    """What is missing, in words."""


def nearly(
    question: Question,
    target: Target,
    policies: Iterable[Policy],
    decisive: Iterable[str],
    evaluation: Evaluation,
    facts: Facts,
    config: Config,
) -> Iterator[Nearly]:
    """Give the policies about this use that miss one thing: who, what, or a condition."""
    action = ACT_ALONE if question.alone else USE_ACTIONS[target.kind]
    known = set(decisive)
    for policy in policies:
        if action not in policy.actions or policy.id in known:
            continue
        who = policy.principal.covers(question.principal)
        what = _covers(policy, target)
        if who and what:
            said = _unmet(policy, question, target, evaluation, facts)
        elif policy.effect == "forbid":
            continue
        elif what and _is_for_such(policy, question):
            said = _is_for(policy, config)
        elif who and _is_of(policy, target.connector):
            said = f"it is for {_reaches(policy)}"
        else:
            continue
        yield Nearly(policy.id, policy.effect, said)


def _covers(policy: Policy, target: Target) -> bool:
    glob = policy.glob
    return policy.resource.covers(target.node) and (
        glob is None or glob.matches(target.connector, target.kind, target.name)
    )


def _is_for_such(policy: Policy, question: Question) -> bool:
    """Tell whether a policy is for others of the same kind: users, agents or tokens."""
    head, kind = policy.principal, question.principal.uid[0]
    if policy.id.startswith(f"ceiling:{BUILT_IN_AGENT}/"):
        return False
    within = None if head.within is None else head.within[0]
    return kind in {head.type, within} or (head.type is None and within in _HOLDS[kind])


_HOLDS: Mapping[str, frozenset[str]] = {
    "Mcp::User": frozenset(("Mcp::Group", "Mcp::Role")),
    "Mcp::Agent": frozenset(("Mcp::Ceiling",)),
    "Mcp::Token": frozenset(("Mcp::Scope",)),
}
"""What principals of a kind may be in."""


def _is_of(policy: Policy, connector: str) -> bool:
    """Tell whether a policy is about something of a connector."""
    within = policy.resource.within
    if within is None:
        return False
    kind, name = within
    if kind == "Mcp::Server":
        return name == connector
    return name.startswith((f"{connector}/", f"{connector}:"))


def _reaches(policy: Policy) -> str:
    if policy.glob is not None:
        return f"`{policy.glob.text}`"
    within = policy.resource.within
    return "something else" if within is None else f"`{within[1]}`"


def _is_for(policy: Policy, config: Config) -> str:
    """Say for whom it is instead."""
    within = policy.principal.within
    if within is None:
        return "it is for others"
    kind, name = within[0].removeprefix("Mcp::"), within[1]
    if kind == "Role":
        role = config.roles.get(name)
        members = [] if role is None else [it.who for it in members_of(role)]
        return f"it is for role `{name}`, whose members are {_list(members)}"
    if kind == "Ceiling":
        return "it is for agents without a ceiling of their own"
    return f"it is for {kind.lower()} `{name}`"


def _unmet(
    policy: Policy,
    question: Question,
    target: Target,
    evaluation: Evaluation,
    facts: Facts,
) -> str:
    """Say which of the conditions do not hold, and what they look at."""
    unmet = []
    guards: list[object] = []
    for expression in conjuncts(policy.est["conditions"]):
        # What stands before may be what makes this one possible: `context has user`.
        tried = [*guards, {"kind": "when", "body": expression}]
        alone = policy_of(
            policy.id,
            {**policy.est, "effect": "permit", "annotations": {}, "conditions": tried},
        )
        verdict = evaluation.judge(question, alone, target.kind, target.name)
        if verdict.allows:
            guards = tried
        else:
            unmet.append(_told(expression, facts))
    verb = "forbids only when" if policy.effect == "forbid" else "permits only when"
    return (
        f"{verb} {' and '.join(unmet)}"
        if unmet
        else "it holds, and what forbids counts more"
    )


def applying(policy: Policy, facts: Facts) -> str:
    """Say what a policy applies by; empty for one without a condition of somebody's."""
    if not policy.is_open:
        return ""
    told = [_told(it, facts) for it in conjuncts(policy.est["conditions"])]
    return f"`{policy.id}` applies: {' and '.join(told)}"


def _told(expression: Est, facts: Facts) -> str:
    """Write a condition with the facts that it looks at."""
    values = dict.fromkeys(_value(path, facts) for path in paths(expression))
    shown = ", ".join(it for it in values if it)
    return f"`{text_of(expression)}`{f' ({shown})' if shown else ''}"


def _value(path: tuple[str, ...], facts: Facts) -> str:
    """Write the fact that a path leads to; empty where it says nothing new."""
    here: object = facts
    for part in path:
        if not isinstance(here, Mapping):
            return ""
        if part not in here:
            return f"{'.'.join(path)} is not known" if path[0] in facts else ""
        here = here[part]
    if isinstance(here, Mapping):
        return ""
    text = msgspec.json.encode(here).decode()
    cut = text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"
    return f"{'.'.join(path)} is {cut}"


def facts_of(facts: CallFacts, target: Target, *, values: bool) -> Facts:
    """Give what conditions look at, as far as it is known.

    Without `values`, those of arguments are left out: they are nobody's who explains.
    """
    principal = facts.principal
    now = datetime.datetime.fromtimestamp(facts.now, datetime.UTC)
    context: dict[str, object] = {
        "now": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "agent": principal.agent,
        "scopes": sorted(principal.scopes),
        "method": facts.method,
    }
    if principal.user is not None:
        context["user"] = principal.user
    if facts.arguments is not None:
        context["args"] = facts.arguments if values else None
        context["touched"] = sorted(facts.touched)
    return {"context": context, "resource": target.node.attributes}


def _list(names: list[str]) -> str:
    if not names:
        return "nobody"
    more = len(names) - MAX_NAMED
    said = ", ".join(f"`{it}`" for it in names[:MAX_NAMED])
    return f"{said} and {more} more" if more > 0 else said
