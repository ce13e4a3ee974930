"""What decisions cost: asked of Cedar or remembered, for lists, after a reload."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Boundary, Config, Connector, Flow, Rate, Role
from bascule.decision.cells import Asked, Person
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import CallFacts, Denied, Principal
from bascule.decision.memo import Memo
from bascule.decision.rights_diff import Everyone, difference
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.errors import BasculeError
from bascule.gateway.touches import Touches
from bascule.storage.migrate import migrate
from bascule.storage.store import open_store

FEW, MANY = 60, 1000
"""Policies."""
CONNECTORS = 10
TOOLS = 500
"""Of one list."""
RULED = 50
"""Tools with rules on their arguments."""
RUNS = 2000
USERS, AGENTS = 200, 20

_NOW = UnixTime(1_764_000_000)
_ALICE = Principal("user:alice", "bench", frozenset({"group:g1"}), frozenset({"mcp:c0"}))
_NETWORKS = ("10.0.0.0/8", "192.168.0.0/16", "fd00::/8", "203.0.113.0/24")
_INSIDE = "203.0.113.7"
_BUILT_IN = CONNECTORS + 4
"""Policies that are there anyway: scopes, three ceilings, the role of who asks."""


class Decisions(Struct, frozen=True, kw_only=True):
    """Medians; times of one process on one core."""

    asked_us: float
    """Microseconds of a decision that nobody remembers, at 60 policies."""
    asked_of_many_us: float
    """The same at 1,000 policies."""
    remembered_us: float
    """The same call again."""
    beside_rules_us: float
    """The same call again, where other tools have rules on arguments, flows and rates."""
    bounded_us: float
    """The same call again, from inside of the networks that its connector is for."""
    first_list_ms: float
    """Milliseconds for 500 tools and somebody new, 50 with rules on their arguments."""
    reload_ms: float
    """Milliseconds to take up 1,000 policies."""
    closable_us: float
    """Microseconds of a call that a flow may close: the state is read, and Cedar asked."""
    diff_s: float
    """Seconds to compare what 200 users with 20 agents may of 500 tools, at 1,000 policies
    and at half of them."""


def decisions(
    clock: Callable[[], float],
    folder: Path,
    *,
    many: int = MANY,
    tools: int = TOOLS,
    runs: int = RUNS,
    users: int = USERS,
) -> Decisions:
    """Measure; `clock` gives seconds, `folder` is for a database of its own."""
    few = _snapshot(FEW)
    began = clock()
    large = _snapshot(many)
    reload_ms = (clock() - began) * 1e3
    ruled = _snapshot(FEW, ruled=True)
    return Decisions(
        asked_us=_asked_us(clock, few, runs),
        asked_of_many_us=_asked_us(clock, large, runs),
        remembered_us=_remembered_us(clock, few, runs * 10),
        beside_rules_us=_remembered_us(clock, ruled, runs * 10),
        bounded_us=_remembered_us(clock, _snapshot(FEW, bounded=True), runs * 10),
        first_list_ms=_first_list_ms(clock, ruled, tools),
        reload_ms=reload_ms,
        closable_us=asyncio.run(_closable_us(clock, ruled, folder, runs)),
        diff_s=_diff_s(clock, large, _snapshot(many // 2), users, tools),
    )


def _asked_us(clock: Callable[[], float], snapshot: Snapshot, runs: int) -> float:
    """Ask with nothing remembered; who asks, the tool and the policies are known."""
    took = []
    facts = _call("again")
    for _ in range(runs):
        anew = dataclasses.replace(snapshot, memo=Memo())
        began = clock()
        decision = decide(facts, anew)
        took.append(clock() - began)
        _require(not isinstance(decision, Denied))
    return median(took) * 1e6


def _remembered_us(clock: Callable[[], float], snapshot: Snapshot, runs: int) -> float:
    facts = _call("again")
    decide(facts, snapshot)
    began = clock()
    for _ in range(runs):
        # As a call does: what concerns it is looked up before it is decided and after.
        snapshot.concerns.of("c0", "tool", "again")
        decide(facts, snapshot)
        snapshot.concerns.of("c0", "tool", "again")
    return (clock() - began) / runs * 1e6


def _first_list_ms(clock: Callable[[], float], snapshot: Snapshot, tools: int) -> float:
    names = [f"ruled_{n}" if n < RULED else f"plain_{n}" for n in range(tools)]
    took = []
    for number in range(5):
        somebody = replace(_ALICE, groups=frozenset({"group:g1", f"group:h{number}"}))
        began = clock()
        for _ in decide_many(somebody, "c0", "tool", names, _NOW, snapshot):
            pass
        took.append(clock() - began)
    return median(took) * 1e3


async def _closable_us(
    clock: Callable[[], float], snapshot: Snapshot, folder: Path, runs: int
) -> float:
    store = open_store(folder / "touches.db")
    migrate(store)
    touches = Touches(store)
    took = []
    for _ in range(max(runs // 10, 1)):
        began = clock()
        touched = await touches.of(_ALICE, snapshot.concerns.windows, _NOW)
        decision = decide(replace(_call("out"), touched=touched), snapshot)
        took.append(clock() - began)
        _require(not isinstance(decision, Denied))
    store.close()
    return median(took) * 1e6


def _diff_s(
    clock: Callable[[], float], before: Snapshot, after: Snapshot, users: int, tools: int
) -> float:
    everyone = Everyone(
        users=tuple(
            Person(f"user:u{n}", f"user:u{n}", frozenset({f"group:g{n % 20}"}))
            for n in range(users)
        ),
        agents=tuple(f"agent-{n}" for n in range(AGENTS)),
        scopes=(),
        targets=tuple(
            Asked(f"c{n % CONNECTORS}", "tool", f"tool_{n}_x") for n in range(tools)
        ),
    )
    began = clock()
    found = difference(before, after, everyone, _NOW)
    took = clock() - began
    _require(bool(found.combined))
    return took


def _call(name: str) -> CallFacts:
    return CallFacts(
        _ALICE, "c0", "tools/call", "tool", name, _NOW, arguments={}, address=_INSIDE
    )


def _require(met: bool) -> None:
    if not met:
        raise BasculeError("a call that must be allowed was not")


def _snapshot(policies: int, *, ruled: bool = False, bounded: bool = False) -> Snapshot:
    """Make so many policies, half of them in tables; only few are about one connector."""
    files, tables = divmod(policies - _BUILT_IN, 2)
    roles = {
        f"role-{n}": Role((f"group:g{n % 20}",), (f"c{n % CONNECTORS}/tool_{n}_*",))
        for n in range(files + tables)
    }
    texts = {"bench.cedar": "".join(map(_written, range(files)))}
    if ruled:
        texts["ruled.cedar"] = "".join(map(_rule, range(RULED)))
    boundary = Boundary(reachable_from=_NETWORKS if bounded else ())
    config = Config(
        connectors={
            f"c{n}": Connector(
                url=f"https://c{n}.example/mcp", mode="observe", boundary=boundary
            )
            for n in range(CONNECTORS)
        },
        roles={**roles, "own": Role(("user:alice",), ("c0/*",))},
        agents=Agents(default_ceiling=("c0/*", "c1/*")),
        labels={"in": ("c0/in",), "out": ("c0/out",)} if ruled else {},
        flows={"bench": Flow(after=("in",), close=("out",))} if ruled else {},
        rates={"bench": Rate(of=("c0/counted",), calls=1000)} if ruled else {},
    )
    return build_snapshot(config, texts)


def _written(number: int) -> str:
    return (
        f'@id("p{number}") forbid(principal == Mcp::Agent::"agent-{number}", '
        f'action in Mcp::Action::"use", resource in Mcp::Server::"c{number % CONNECTORS}") '
        f'when {{ context.scopes.contains("x{number}") }};\n'
    )


def _rule(number: int) -> str:
    return (
        f'@id("r{number}") forbid(principal is Mcp::User, '
        f'action == Mcp::Action::"call_tool", resource == Mcp::Tool::"c0/ruled_{number}") '
        'unless { context.args has path && context.args.path like "/srv/*" };\n'
    )
