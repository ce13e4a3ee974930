"""Assurance levels of CoSAI's Model Context Protocol Security, version 2 §3.3.

Each level demands a list of things, and all that the levels below it do. A level is
supported by the evidence when a control of posture stands for each of them and is met.
What no probe of this version can see supports no level, however well it may be done.
What the source leaves to judgement (whether data are production data, what is sensitive)
is not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from msgspec import Struct

from bascule.app.posture.control import Control, State

Level = Literal["L1", "L2", "L3", "L4"]


class Requirement(Struct, frozen=True):
    """A thing that a level demands, and what is known of it."""

    level: Level
    dimension: str
    requirement: str
    state: State
    controls: tuple[str, ...]
    """Ids of the controls that stand for it; none when no probe does."""


_IDENTITY = "identity and authentication"
_RIGHTS = "authorization and delegation"
_NETWORK = "transport and network"
_ISOLATION = "isolation and sandboxing"
_LOGGING = "logging and observability"
_SUPPLY = "supply chain and lifecycle"
_INTEGRITY = "tool definition, input and output integrity"
_STATE = "state and discovery"

_TABLE: tuple[tuple[Level, str, str, tuple[str, ...]], ...] = (
    (
        "L1",
        _NETWORK,
        "HTTP is bound to what was named, never to every interface",
        ("binding",),
    ),
    ("L1", _NETWORK, "Origin and Host are validated", ("shown",)),
    (
        "L2",
        _IDENTITY,
        "remote servers are used with OAuth 2.1 and PKCE",
        ("tokens", "shown"),
    ),
    ("L2", _IDENTITY, "the issuer's metadata are validated", ("shown",)),
    ("L2", _IDENTITY, "credentials lie in a keychain or a secrets manager", ("secrets",)),
    ("L2", _RIGHTS, "a client's token goes to no other server", ("tokens", "credentials")),
    ("L2", _RIGHTS, "destructive actions are confirmed by a person", ("consent",)),
    ("L2", _NETWORK, "remote connections are under TLS", ("transport",)),
    ("L2", _NETWORK, "listeners are bound to interfaces that were named", ("binding",)),
    ("L2", _NETWORK, "every HTTP endpoint validates Origin and Host", ("shown",)),
    ("L2", _NETWORK, "headers of the protocol are validated", ("strict",)),
    ("L2", _NETWORK, "size and depth of messages are bounded", ("strict",)),
    ("L2", _ISOLATION, "servers run in sandboxes with limits", ("sandbox",)),
    ("L2", _ISOLATION, "each user's data are apart", ("separate", "credentials")),
    ("L2", _LOGGING, "calls, callers, decisions and outcomes are recorded", ("log",)),
    ("L2", _INTEGRITY, "arguments are held against the schema", ("arguments",)),
    ("L2", _INTEGRITY, "paths in arguments are kept from traversing", ("arguments",)),
    ("L2", _INTEGRITY, "what tools return is sanitized before a model sees it", ()),
    (
        "L2",
        _STATE,
        "sessions are no authentication; handles are the user's own",
        ("tokens",),
    ),
    ("L2", _STATE, "what a client says of itself is no authentication", ("tokens",)),
    ("L2", _STATE, "state that a client holds is sealed", ()),
    ("L3", _IDENTITY, "agents have workload identities", ()),
    ("L3", _IDENTITY, "tokens are exchanged, with actor and subject", ()),
    ("L3", _IDENTITY, "credentials rotate by themselves", ()),
    (
        "L3",
        _RIGHTS,
        "policies decide on tools and their parameters",
        ("tested", "arguments"),
    ),
    ("L3", _RIGHTS, "scopes are the least that is needed", ("any_agent", "everything")),
    ("L3", _RIGHTS, "tokens are bound to their sender", ()),
    ("L3", _RIGHTS, "delegation is bounded, and narrows", ("crossing",)),
    ("L3", _RIGHTS, "tokens are for one resource", ("tokens",)),
    ("L3", _RIGHTS, "upstream credentials come of token exchange", ()),
    ("L3", _RIGHTS, "consent follows policies, with step-up", ("consent",)),
    ("L3", _NETWORK, "servers speak TLS 1.3 with each other, both authenticated", ()),
    ("L3", _NETWORK, "components are on segments of their own", ("reach", "declared")),
    ("L3", _NETWORK, "messages are signed", ()),
    ("L3", _ISOLATION, "containers are strong, nothing is shared", ()),
    ("L3", _LOGGING, "the chain of delegation can be told from the log", ("log",)),
    ("L3", _LOGGING, "trace context goes with every call", ()),
    ("L3", _LOGGING, "a SIEM watches", ()),
    ("L3", _SUPPLY, "servers are approved before they run", ("enforced",)),
    ("L3", _SUPPLY, "there is one inventory of servers", ("enforced",)),
    ("L3", _SUPPLY, "dependencies are pinned with hashes", ("bytes",)),
    ("L3", _INTEGRITY, "definitions are pinned; changes are approved anew", ("enforced",)),
    ("L3", _INTEGRITY, "undeclared arguments are refused", ("arguments",)),
    ("L3", _STATE, "handles are bound, expire, and end with their grant", ()),
    ("L4", _IDENTITY, "workloads are attested", ()),
    ("L4", _RIGHTS, "several people consent to what cannot be undone", ()),
    ("L4", _NETWORK, "ways out are denied but for a list", ("declared", "reach")),
    ("L4", _ISOLATION, "each tenant has keys of its own", ()),
    (
        "L4",
        _LOGGING,
        "the log shows tampering, outside of this machine too",
        ("log", "copies"),
    ),
    ("L4", _SUPPLY, "servers that nobody registered are found", ("shadow",)),
    ("L4", _SUPPLY, "builds are reproducible, binaries authorized", ()),
    ("L4", _INTEGRITY, "definitions are signed, unsigned ones are refused", ("enforced",)),
)
"""Level, dimension, demand in our words, controls that stand for it."""


def requirements(controls: Iterable[Control]) -> tuple[Requirement, ...]:
    """Give what each level demands, and whether the controls say that it is so."""
    states = {it.id: it.state for it in controls}
    return tuple(
        Requirement(level, dimension, said, _state(states.get(it) for it in ids), ids)
        for level, dimension, said, ids in _TABLE
    )


def _state(states: Iterable[State | None]) -> State:
    known = list(states)
    if "not_met" in known:
        return "not_met"
    return "met" if known and all(it == "met" for it in known) else "not_assessed"


def supported(demands: Iterable[Requirement]) -> Level | None:
    """Give the highest level of which all is met, and of all below it."""
    every, best = tuple(demands), None
    for level in get_args(Level):
        if any(it.state != "met" for it in every if it.level == level):
            return best
        best = level
    return best


def next_steps(controls: Iterable[Control]) -> Iterator[str]:
    """Say what to do about what is not met, the same thing once."""
    yield from dict.fromkeys(it.fix for it in controls if it.state == "not_met" and it.fix)
