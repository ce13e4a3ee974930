"""Names that rules speak of and an approved surface lacks: they are errors.

Nobody would notice a right to `serach`, nor a `forbid` of it. Where nothing is approved yet
it is not known what there is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from bascule.config.model import Config
from bascule.decision.entries import Entry
from bascule.decision.gate import DefinitionKind
from bascule.decision.model import Uid
from bascule.decision.policy import Policy, entity_uid, walk
from bascule.decision.problems import CONFIG_FILE, Problem, dotted
from bascule.decision.snapshot import Gates, Snapshot
from bascule.decision.written import approved_names, written_entries

_KINDS: Mapping[str, DefinitionKind] = {"tool": "tools", "prompt": "prompts"}
"""Kinds of entries whose names are approved; which resources there are changes."""
_ENTITIES: Mapping[str, str] = {"Mcp::Tool": "tool", "Mcp::Prompt": "prompt"}


def unknown_names(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Give each tool and prompt that is named and that an approved connector lacks."""
    return [
        *_in_tables(config, snapshot.gates),
        *_in_policies(snapshot.standing.by_id.values(), snapshot.gates),
    ]


def _in_tables(config: Config, gates: Gates) -> Iterator[Problem]:
    for written in written_entries(config):
        for where, entry in written.entries:
            if not isinstance(entry, Entry) or entry.is_glob or entry.kind is None:
                continue
            said = _lacking(gates, entry.connector, entry.kind, entry.pattern)
            if said:
                message = f"{dotted(where)}: {said}"
                yield Problem(CONFIG_FILE, 0, "error", message, where)


def _in_policies(policies: Iterable[Policy], gates: Gates) -> Iterator[Problem]:
    for policy in policies:
        if not policy.file:
            continue
        for of in dict.fromkeys(_named(policy)):
            connector, _, name = of[1].partition("/")
            said = _lacking(gates, connector, _ENTITIES[of[0]], name)
            if said:
                message = f"`{policy.id}`: {said}"
                yield Problem(policy.file, policy.line, "error", message)


def _named(policy: Policy) -> Iterator[Uid]:
    for node in walk([policy.est["resource"], policy.est["conditions"]]):
        if node.get("type") in _ENTITIES and isinstance(node.get("id"), str):
            yield entity_uid(node)


def _lacking(gates: Gates, connector: str, kind: str, name: str) -> str:
    """Say that an approved surface lacks a name; empty when it does not, or may not."""
    if kind not in _KINDS:
        return ""
    names = approved_names(gates, connector, _KINDS[kind])
    if names is None or name in names:
        return ""
    near = difflib.get_close_matches(name, sorted(names), 1)
    hint = f": is `{near[0]}` meant?" if near else ""
    return f"the approved surface of `{connector}` has no {kind} `{name}`{hint}"
