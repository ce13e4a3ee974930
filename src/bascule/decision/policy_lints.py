"""What `.cedar` files say in vain: warnings, where it is certain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bascule.config.model import Config
from bascule.decision import cedar
from bascule.decision.argument_samples import Samples
from bascule.decision.argument_schema import schema_of
from bascule.decision.formulas import formula_of
from bascule.decision.known_arguments import Known
from bascule.decision.model import ACT_ALONE, TYPES, USE_ACTIONS, Target, token_node, uid
from bascule.decision.policy import Policy, Scope, policy_of
from bascule.decision.problems import CONFIG_FILE, Problem, dotted
from bascule.decision.residue import Residue
from bascule.decision.satisfy import is_refuted
from bascule.decision.snapshot import Snapshot
from bascule.decision.written import Where, approved_names, written_entries

_MANY = 200
"""Tools; of more it is not looked whether each excludes something."""
_PARENTS: Mapping[str, str] = {
    f"Mcp::{it}": "Mcp::Server" for it in (*TYPES.values(), "Toolset")
}
"""What of a connector stands in its server."""


def policy_lints(config: Config, snapshot: Snapshot) -> Iterator[Problem]:
    """Give policies that never apply, that another one makes idle, or that never count."""
    every = snapshot.standing.by_id
    written = [it for it in every.values() if it.file]
    unconditional = [it for it in written if not it.is_open and it.obligation is None]
    for policy in written:
        said = _never_applies(policy, snapshot) or _idle(policy, unconditional)
        if said:
            yield Problem(policy.file, policy.line, "warning", f"`{policy.id}` {said}")
    forbids = [it for it in unconditional if it.effect == "forbid"]
    yield from _forbidden_roles(config, every, forbids)


def _never_applies(policy: Policy, snapshot: Snapshot) -> str:
    """Say why a condition can never hold; empty when that is not certain."""
    if not policy.is_open:
        return ""
    when, _ = formula_of(policy)
    only = Residue(permitted=False, permits=(when,), forbids=(), others=(), certain=False)
    if is_refuted([only], Known(None, False)):
        return "never applies: its conditions contradict each other"
    if policy.arguments and _takes_none(policy, only, snapshot):
        return "never applies: no approved tool that it is about takes such arguments"
    if policy.reads <= {"resource"} and not _applies_somewhere(policy, snapshot):
        return "never applies: none of the approved tools that it is about is such a one"
    return ""


def _takes_none(policy: Policy, only: Residue, snapshot: Snapshot) -> bool:
    """Tell whether the schemas of all that it is about exclude what it asks for."""
    targets = _covered(policy, snapshot)
    if not targets or len(targets) > _MANY or not _is_of_tools(policy):
        return False
    for target in targets:
        gate = snapshot.gates.get(target.connector)
        pins = {} if gate is None or not gate.enforces else gate.tools.get(target.name, {})
        schemas = [schema_of(pin.schema) for pin in pins.values()]
        if not schemas or any(it.problem for it in schemas):
            return False
        known = (Known(Samples(pin.schema), True) for pin in pins.values())
        if not all(is_refuted([only], it) for it in known):
            return False
    return True


def _applies_somewhere(policy: Policy, snapshot: Snapshot) -> bool:
    """Tell whether it may apply to something; yes where not all names are approved."""
    targets = _covered(policy, snapshot)
    if not _is_of_tools(policy) or targets is None:
        return True
    anybody = token_node(())
    head = {**policy.est, "effect": "permit", "principal": {"op": "All"}, "annotations": {}}
    alone = cedar.policy_set({policy.id: policy_of(policy.id, head).est})
    for target in targets:
        verdict = cedar.evaluate(
            alone,
            cedar.entities([anybody.entity(), target.node.entity()]),
            principal=anybody.uid,
            action=uid("Action", USE_ACTIONS["tool"]),
            resource=target.node.uid,
            context="{}",
        )
        if verdict.allows or verdict.failed:
            return True
    return False


def _is_of_tools(policy: Policy) -> bool:
    """Tell whether a policy can be about nothing but tools."""
    return policy.actions == {USE_ACTIONS["tool"]} or _is_about(policy) == "Mcp::Tool"


def _covered(policy: Policy, snapshot: Snapshot) -> list[Target] | None:
    """Give the approved tools that its head covers; None where some are not known."""
    found: list[Target] = []
    for connector in snapshot.connectors:
        names = approved_names(snapshot.gates, connector, "tools")
        head = policy.resource.within
        if head is not None and not _may_be_of(head[1], connector):
            continue
        if names is None:
            return None
        if head is not None and head[0] == "Mcp::Tool":
            only = head[1].partition("/")[2]
            names = {only}.intersection(names)
        targets = (snapshot.target(connector, "tool", name) for name in sorted(names))
        found += (it for it in targets if policy.resource.covers(it.node))
    return found


def _may_be_of(name: str, connector: str) -> bool:
    return name == connector or name.startswith((f"{connector}/", f"{connector}:"))


def _idle(policy: Policy, others: Iterable[Policy]) -> str:
    """Say which other policy makes it idle; empty when none does."""
    for other in others:
        if other.id == policy.id or not _covers(other, policy):
            continue
        if other.effect == policy.effect:
            if _covers(policy, other) and not policy.is_open and policy.id < other.id:
                continue  # the two are the same: it is said of one of them
            return f"adds nothing to `{other.id}`, which applies to all of it"
        if other.effect == "forbid":
            return f"never counts: `{other.id}` forbids all that it permits"
    return ""


def _forbidden_roles(
    config: Config, every: Mapping[str, Policy], forbids: Iterable[Policy]
) -> Iterator[Problem]:
    """Give entries of roles of which somebody's `forbid` leaves nothing."""
    for where, name, text in _role_entries(config):
        policy = every.get(f"role:{name}/{text}")
        by = next(
            (it for it in forbids if policy is not None and _covers(it, policy)), None
        )
        if by is not None:
            said = f"`{text}` never counts: `{by.id}` forbids all of it"
            yield Problem(CONFIG_FILE, 0, "warning", f"{dotted(where)}: {said}", where)


def _role_entries(config: Config) -> Iterator[tuple[Where, str, str]]:
    for written in written_entries(config):
        if written.where[0] == "roles":
            for where, entry in written.entries:
                yield where, str(written.where[1]), entry.text


def _covers(wider: Policy, narrower: Policy) -> bool:
    """Tell whether the head of one covers all that the other's does; no in doubt."""
    return (
        _actions(narrower) <= wider.actions
        and _holds(wider.principal, narrower.principal)
        and _holds(wider.resource, narrower.resource)
    )


def _actions(policy: Policy) -> frozenset[str]:
    """Give the actions that there are for what it is about."""
    about = _is_about(policy)
    own = {USE_ACTIONS[kind] for kind, name in TYPES.items() if about == f"Mcp::{name}"}
    return policy.actions & {*own, ACT_ALONE} if own else policy.actions


def _is_about(policy: Policy) -> str | None:
    """Give the type of what the head names, or in what it is."""
    head = policy.resource
    return head.type or (None if head.within is None else head.within[0])


def _holds(wider: Scope, narrower: Scope) -> bool:
    if wider.type is not None and wider.type not in {narrower.type, _kind(narrower)}:
        return False
    if wider.within is None or wider.within == narrower.within:
        return True
    if narrower.within is None:
        return False
    kind, name = narrower.within
    inside = _PARENTS.get(kind) == wider.within[0]
    return inside and _may_be_of(name, wider.within[1])


def _kind(scope: Scope) -> str | None:
    """Give the type of what is named itself; what is in a group may be of any."""
    return None if scope.within is None else scope.within[0]
