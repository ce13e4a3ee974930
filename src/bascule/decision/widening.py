"""What a new configuration allows that the old one did not: for the record of a reload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bascule.clock import UnixTime
from bascule.config.members import later, members_of
from bascule.config.model import Config, Mode
from bascule.decision import call_approvals, flow_changes
from bascule.decision.networks import is_within
from bascule.decision.policy import Policy, walk
from bascule.decision.policy_files import read_policy_files

Texts = Mapping[str, str]
"""Policy files by name."""
Rights = dict[tuple[str, str], UnixTime | None]
"""Who, what; until when."""


def widenings(
    before: Config, before_files: Texts, after: Config, after_files: Texts
) -> list[str]:
    """Name each right that is new or wider, one short sentence each, in order.

    Entries are compared by name, and with `CONNECTOR/*`; what a narrower pattern matches is
    not looked at. So there may be too much here, never too little.
    """
    known = set(before.agents.ceilings) | set(after.agents.ceilings)
    had = _latest(_rights(before, known))
    found = {
        f"{who} `{entry}`"
        for (who, entry), until in _latest(_rights(after, known)).items()
        if not _lasts(had, who, entry, until)
        and not _lasts(had, who, f"{entry.partition('/')[0]}/*", until)
    }
    old, _ = read_policy_files(before_files, before)
    new, _ = read_policy_files(after_files, after)
    found |= {f"policy `{it}` permits" for it in _changed(new, old, "permit")}
    found |= {f"policy `{it}` forbids less" for it in _changed(old, new, "forbid")}
    same = [it for name, it in new.items() if name in old and old[name].est == it.est]
    found |= set(_covering_others(before, after, same))
    found |= {*_loosened(before, after), *call_approvals.loosened(before, after)}
    found |= {*flow_changes.loosened(before, after), *_read_otherwise(before, after)}
    found |= {*_reachable_from_more(before, after), *_proven_less(before, after)}
    return sorted(found)


def _covering_others(
    before: Config, after: Config, policies: Iterable[Policy]
) -> Iterator[str]:
    """Give the policies that stay, and speak of what is not the same any more.

    A head alone lets more through by what it gains, or what it forbids by what it loses;
    conditions may do so by either.
    """
    old, new = _held(before), _held(after)
    labels = before.labels != after.labels
    for policy in policies:
        for node in walk(policy.est):
            key = (str(node.get("type")), str(node.get("id")))
            had, has = old.get(key, frozenset()), new.get(key, frozenset())
            gains = has - had if policy.is_open or policy.effect == "permit" else ()
            loses = had - has if policy.is_open or policy.effect == "forbid" else ()
            if gains or loses:
                kind = key[0].removeprefix("Mcp::").lower()
                yield f"policy `{policy.id}` speaks of {kind} `{key[1]}`, which has changed"
            elif labels and node.get("attr") == "labels":
                yield f"policy `{policy.id}` reads labels, which have changed"


def _held(config: Config) -> dict[tuple[str, str], frozenset[object]]:
    """Give what toolsets and roles hold, by the entities that policies name."""
    sets = {("Mcp::Toolset", it): frozenset(held) for it, held in config.toolsets.items()}
    roles = {
        ("Mcp::Role", name): frozenset(members_of(role))
        for name, role in config.roles.items()
    }
    return {**sets, **roles}


def _loosened(before: Config, after: Config) -> Iterator[str]:
    """Give the connectors that are served more freely without an approval."""
    for name, connector in after.connectors.items():
        old = before.connectors.get(name)
        was = _strictness(None if old is None else old.mode)
        if _strictness(connector.mode) < was:
            yield f"`{name}` is served in mode `{connector.mode}`"


def _reachable_from_more(before: Config, after: Config) -> Iterator[str]:
    """Give the connectors that more clients may use than before, by their networks."""
    for name, old in before.connectors.items():
        connector = after.connectors.get(name)
        if connector is None or not old.boundary.reachable_from:
            continue
        if not connector.boundary.reachable_from:
            yield f"`{name}` may be used from everywhere"
        for network in connector.boundary.reachable_from:
            if not is_within(network, old.boundary.reachable_from):
                yield f"`{name}` may be used from {network}"


def _proven_less(before: Config, after: Config) -> Iterator[str]:
    """Give who must not show any more what it had to beside a token."""
    for name, old in before.connectors.items():
        connector = after.connectors.get(name)
        if connector is not None and old.require not in {None, connector.require}:
            yield f"`{name}` does not demand {old.require}"
    for agent, demanded in before.agents.require.items():
        if after.agents.require.get(agent) != demanded:
            yield f"agent `{agent}` need not show {demanded}"
    if before.dpop.nonce and not after.dpop.nonce:
        yield "proofs need no nonce"


def _read_otherwise(before: Config, after: Config) -> Iterator[str]:
    """Give the arguments that pass unknown now, or that policies see in another form."""
    for name, connector in after.connectors.items():
        old = before.connectors.get(name)
        strict = old is None or old.unknown_arguments == "refuse"
        if strict and connector.unknown_arguments == "allow":
            yield f"`{name}` takes arguments that its tools do not have"
        if old is None:
            continue
        for argument in sorted({*old.arguments, *connector.arguments}):
            form = connector.arguments.get(argument, "what it seems to be")
            if old.arguments.get(argument) != connector.arguments.get(argument):
                yield f"argument `{argument}` of `{name}` is read as {form}"


def _strictness(mode: Mode | None) -> int:
    return ("observe", "warn", "enforce").index(mode or "enforce")


def _latest(rights: Iterable[tuple[str, str, UnixTime | None]]) -> Rights:
    """Give until when each right is there at the latest; None: for ever."""
    found: Rights = {}
    for who, entry, until in rights:
        found[who, entry] = later(found.get((who, entry), until), until)
    return found


def _lasts(had: Rights, who: str, entry: str, until: UnixTime | None) -> bool:
    """Tell whether a right was there until then already."""
    return (who, entry) in had and later(had[who, entry], until) == had[who, entry]


def _rights(
    config: Config, known_agents: Iterable[str]
) -> Iterator[tuple[str, str, UnixTime | None]]:
    """Give who may do what, and until when."""
    for role in config.roles.values():
        for entry in _expanded(config, role.allow):
            for who, until in members_of(role):
                yield f"`{who}` may use", entry, until
    for who, entry in _standing_rights(config, known_agents):
        yield who, entry, None


def _standing_rights(
    config: Config, known_agents: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Give the rest: the sentence up to its end, and the entry that ends it."""
    default = config.agents.default_ceiling
    for agent in known_agents:
        for entry in _expanded(config, config.agents.ceilings.get(agent, default)):
            yield f"agent `{agent}` may be used for", entry
    for entry in _expanded(config, default):
        yield "any other agent may be used for", entry
    for scope, entries in config.scopes.items():
        for entry in _expanded(config, entries):
            yield f"scope `{scope}` covers", entry
    for name, connector in config.connectors.items():
        yield from ((f"`{name}` may ask for", kind) for kind in connector.may_ask)
    for issuer in config.issuers.values():
        for connector_name in issuer.audiences:
            yield f"`{issuer.issuer}` may issue tokens for", connector_name


def _expanded(config: Config, entries: Iterable[str]) -> Iterator[str]:
    """Give entries with toolsets replaced by their members."""
    for entry in entries:
        yield from config.toolsets.get(entry, (entry,))


def _changed(
    these: Mapping[str, Policy], others: Mapping[str, Policy], effect: str
) -> Iterator[str]:
    """Give the ids of policies of an effect that are not the same among the others."""
    for name, policy in these.items():
        other = others.get(name)
        if policy.effect == effect and (other is None or other.est != policy.est):
            yield name
