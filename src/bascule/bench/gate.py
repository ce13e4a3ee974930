"""What it costs to compare lists and calls with what was approved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Principal, Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import build_snapshot
from bascule.gateway.definitions import Definitions, Watch
from bascule.lock.definition import definition_digest
from bascule.scan.text.served import Judged

TOOLS = 50
LIST_BYTES = 75_000
RUNS = 20_000
NAME = "tool-1"


class GateCost(Struct, frozen=True):
    """What a connector with a gate takes more than one without."""

    call_us: float
    """Microseconds of a call whose tool was listed lately."""
    first_list_ms: float
    """Milliseconds of the first list."""
    list_ms: float
    """Milliseconds of the same list again."""


class _Untold:
    """Takes deviations; there are none."""

    def deviates(
        self, connector: str, kind: str, name: str, reason: Reason, have: str, mode: str
    ) -> None:
        """Take one."""

    def suspects(self, connector: str, kind: str, name: str, found: Judged) -> None:
        """Take what one says."""


def gate_cost(
    clock: Callable[[], float],
    *,
    tools: int = TOOLS,
    size: int = LIST_BYTES,
    runs: int = RUNS,
) -> GateCost:
    """Measure on a list of so many tools and bytes; `clock` gives seconds."""
    items = [_definition(number, size // tools) for number in range(tools)]
    names = [f"tool-{number}" for number in range(tools)]
    pins = {
        name: frozenset({definition_digest(bytes(item))})
        for name, item in zip(names, items, strict=True)
    }
    gate = Gate(mode="enforce", entry="0" * 64, pins={"tools": pins})
    definitions = Definitions()
    view = definitions.view(("",))
    watch = Watch("bench", gate, definitions, view, _Untold())

    async def lists() -> tuple[float, float]:
        began = clock()
        await _course(watch.approved("tools", names, items, whole=True))
        first = clock() - began
        rounds = max(runs // 100, 1)
        began = clock()
        for _ in range(rounds):
            await _course(watch.approved("tools", names, items, whole=True))
        return first, (clock() - began) / rounds

    first, again = asyncio.run(lists())
    return GateCost(_call_us(clock, gate, watch, runs), first * 1e3, again * 1e3)


def _call_us(clock: Callable[[], float], gate: Gate, watch: Watch, runs: int) -> float:
    """Give what look-up, clock and comparison take on top of the decision by rights."""
    config = Config(
        connectors={"bench": Connector(url="https://bench.example/mcp", mode="observe")},
        roles={"bench": Role(("user:bench",), ("bench/*",))},
        agents=Agents(default_ceiling=("bench/*",)),
    )
    free = build_snapshot(config, {})
    gated = build_snapshot(config, {}, {"bench": gate})
    who = Principal("user:bench", "bench", scopes=frozenset({"mcp:bench"}))
    now = UnixTime(0)
    bare = CallFacts(who, "bench", "tools/call", "tool", NAME, now)

    def without() -> None:
        decide(bare, free)

    def compared() -> None:
        view = watch.definitions.view(("",))
        watch.definitions.is_known(view, "tools", gate.entry)
        digest = view.digest("tools", NAME)
        facts = CallFacts(who, "bench", "tools/call", "tool", NAME, now, digest)
        decide(facts, gated)

    took = []
    for work in (without, compared):
        work()  # what is remembered of rights is there now
        began = clock()
        for _ in range(runs):
            work()
        took.append((clock() - began) / runs * 1e6)
    return took[1] - took[0]


def _definition(number: int, size: int) -> Raw:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    tool = {"name": f"tool-{number}", "description": "", "inputSchema": schema}
    tool["description"] = "x" * max(size - len(msgspec.json.encode(tool)), 0)
    return Raw(msgspec.json.encode(tool))


async def _course(course: Coroutine[Any, None, Any]) -> None:
    """Run a coroutine of the data path, which has no tasks, to its end."""
    try:
        while True:
            course.send(None)
            await asyncio.sleep(0)
    except StopIteration:
        return
