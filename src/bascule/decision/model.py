"""The entity model: who, on what, by which action, as Cedar sees it.

A call is a conjunction of up to three questions, each with a principal of its own, so that
no policy for one can stand in for another:

    the user may use the target       User::"alice"   (or: the agent may `act_alone`)
    the agent may use the target      Agent::"CLIENT_ID"
    the token may use the target      Token::"request"

A hierarchy is one level deep: what a uid is in stands in its parents and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.decision.entries import TargetKind
from bascule.decision.facts import Principal
from bascule.decision.gate import ToolPin

Uid = tuple[str, str]
"""Entity type with its namespace, and id."""

_SCHEMA = """
namespace Mcp {
  entity Group, Role, Scope, Ceiling, Server, Toolset;
  entity User in [Group, Role];
  entity Agent in [Ceiling];
  entity Token in [Scope];
  entity Tool in [Server, Toolset] = {
    name: String, connector: String, labels: Set<String>,
    destructive: Bool, read_only: Bool, open_world: Bool
  };
  entity Prompt in [Server, Toolset] = { name: String, connector: String };
  entity Resource in [Server, Toolset] = { uri: String, connector: String };
  type Context = {
    CONTEXT
  };
  type Call = {
    CONTEXT ARGS
  };
  action "use";
  action "call_tool" in ["use"] appliesTo {
    principal: [User, Agent, Token], resource: [Tool], context: Call
  };
  action "get_prompt" in ["use"] appliesTo {
    principal: [User, Agent, Token], resource: [Prompt], context: Context
  };
  action "read_resource" in ["use"] appliesTo {
    principal: [User, Agent, Token], resource: [Resource], context: Context
  };
  action "act_alone" appliesTo {
    principal: [Agent], resource: [Tool, Prompt, Resource], context: Call
  };
}
"""
_CONTEXT = """now: datetime, agent: Agent, user?: User, scopes: Set<String>,
    method: String, touched: Set<String>"""


def schema_with(arguments: str | None) -> str:
    """Write the schema for calls of a tool whose arguments have a Cedar type.

    None: of tools in general, and then no policy can read any.
    """
    args = "" if arguments is None else f", args: {arguments}"
    # Arguments come last: their names are a server's, and are not to be replaced.
    return _SCHEMA.replace("CONTEXT", _CONTEXT).replace(" ARGS", args)


SCHEMA = schema_with(None)
"""The entity model as Cedar has it."""

USE_ACTIONS: dict[TargetKind, str] = {
    "tool": "call_tool",
    "prompt": "get_prompt",
    "resource": "read_resource",
}
ACT_ALONE = "act_alone"
ACTIONS = (*USE_ACTIONS.values(), ACT_ALONE)
TYPES: dict[TargetKind, str] = {"tool": "Tool", "prompt": "Prompt", "resource": "Resource"}
DEFAULT_CEILING = "default"
"""Id of the `Ceiling` that agents without a ceiling of their own are in."""
_NONE: Mapping[str, Any] = {}
_UNKNOWN_TOOL = ToolPin()


def uid(kind: str, name: str) -> Uid:
    """Make the uid of an entity of our namespace."""
    return (f"Mcp::{kind}", name)


def uid_json(of: Uid) -> dict[str, str]:
    """Write a uid as Cedar's JSON formats do."""
    return {"type": of[0], "id": of[1]}


@dataclass(frozen=True, slots=True)
class Node:
    """A principal or resource with all that it is in."""

    uid: Uid
    within: frozenset[Uid]
    """Its parents and itself."""
    attributes: Mapping[str, Any]

    def entity(self) -> dict[str, Any]:
        """Write it as Cedar's JSON entity."""
        return {
            "uid": uid_json(self.uid),
            "attrs": self.attributes,
            "parents": [uid_json(parent) for parent in self.within if parent != self.uid],
        }


def _node(of: Uid, parents: Iterable[Uid], attributes: Mapping[str, Any] = _NONE) -> Node:
    return Node(of, frozenset((of, *parents)), attributes)


def user_node(principal: Principal, roles: Iterable[str]) -> Node:
    """Make the user's entity. Raises ValueError for a name that is not `user:…`."""
    groups = (uid("Group", _bare("group:", group)) for group in principal.groups)
    name = _bare("user:", principal.user or "")
    return _node(uid("User", name), (*groups, *(uid("Role", role) for role in roles)))


def agent_node(agent: str, *, own_ceiling: bool) -> Node:
    """Make the agent's entity: in no role, so that no role can widen its ceiling."""
    ceiling = () if own_ceiling else (uid("Ceiling", DEFAULT_CEILING),)
    return _node(uid("Agent", agent), ceiling)


def token_node(scopes: Iterable[str]) -> Node:
    """Make the token's entity: nothing but its scopes."""
    return _node(uid("Token", "request"), (uid("Scope", scope) for scope in scopes))


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: one tool, prompt or resource."""

    connector: str
    kind: TargetKind
    name: str
    node: Node


def target_of(
    connector: str,
    kind: TargetKind,
    name: str,
    toolsets: Iterable[str],
    labels: Iterable[str] = (),
    pin: ToolPin = _UNKNOWN_TOOL,
) -> Target:
    """Make a target; its uid is unambiguous because a connector's name holds no `/`.

    `labels` and `pin` are of tools alone.
    """
    parents = (uid("Server", connector), *(uid("Toolset", toolset) for toolset in toolsets))
    of = uid(TYPES[kind], f"{connector}/{name}")
    label = "uri" if kind == "resource" else "name"
    attributes: dict[str, Any] = {label: name, "connector": connector}
    if kind == "tool":
        attributes |= {
            "labels": sorted(labels),
            "destructive": pin.destructive,
            "read_only": pin.read_only,
            "open_world": pin.open_world,
        }
    node = _node(of, parents, attributes)
    return Target(connector, kind, name, node)


def worst_pin(pins: Iterable[ToolPin]) -> ToolPin:
    """Give what holds whichever of a tool's approved definitions is served.

    Without one, what MCP takes for a tool that says nothing. Its `schema` means nothing.
    """
    known = list(pins)
    if not known:
        return _UNKNOWN_TOOL
    return ToolPin(
        destructive=any(it.destructive for it in known),
        read_only=all(it.read_only for it in known),
        open_world=any(it.open_world for it in known),
    )


def _bare(prefix: str, name: str) -> str:
    if not name.startswith(prefix):
        raise ValueError(f"`{name}` does not begin with `{prefix}`")
    return name.removeprefix(prefix)
