"""Rights as a page of one file: who may do the same share a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bascule.app.who_can import Right
from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.web.one_file import render_one_file

_SAID: Mapping[str, str] = {"allow": "yes", "maybe": "if", "deny": "no"}

MOST_CELLS = 100_000

Cells = tuple[tuple[str, str], ...]
"""Decision, and what it is because of, for each tool."""
Pair = tuple[str, str]
"""User, or that there is none, and agent."""
NOBODY = "no user"


@dataclass(frozen=True, slots=True)
class Cell:
    """One right."""

    decision: str
    said: str
    because: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A row."""

    name: str
    cells: tuple[Cell, ...]
    """One for each group."""


@dataclass(frozen=True, slots=True)
class Connector:
    """The rows of one connector."""

    name: str
    tools: tuple[Tool, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A column: all who may do exactly the same, for the same reasons."""

    who: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhoCanPage:
    """`who-can.html`."""

    made: str
    """When, and of what."""
    groups: tuple[Group, ...]
    connectors: tuple[Connector, ...]
    nothing: tuple[str, ...]
    """Who may use nothing at all."""


def who_can_page(found: Iterable[Right], *, made: str) -> str:
    """Write the page of a table of rights, in which every pair has the same tools.

    Raises `BasculeError` for one that no browser would show in time.
    """
    tools: list[tuple[str, str]] = []
    pairs: dict[Cells, list[Pair]] = {}
    for (user, agent), rows in groupby(found, key=lambda it: (it.user, it.agent)):
        each = list(rows)
        tools = tools or [(it.connector, it.tool) for it in each]
        cells = tuple((it.decision, " ".join(it.because)) for it in each)
        pairs.setdefault(cells, []).append((user or NOBODY, agent))
    columns = {
        cells: who
        for cells, who in pairs.items()
        if any(decision != "deny" for decision, _ in cells)
    }
    if len(columns) * len(tools) > MOST_CELLS:
        raise BasculeError(
            f"the page would have {len(columns)} columns and {len(tools)} rows: choose "
            "with --user, --agent or --connector, or take --json"
        )
    nothing = [pair for cells, who in pairs.items() if cells not in columns for pair in who]
    page = WhoCanPage(
        made=made,
        groups=tuple(Group(_lines(who)) for who in columns.values()),
        connectors=_connectors(tools, list(columns)),
        nothing=_lines(nothing),
    )
    return render_one_file("who-can", page)


def _connectors(
    tools: Sequence[tuple[str, str]], columns: Sequence[Cells]
) -> tuple[Connector, ...]:
    rows = [
        (connector, Tool(visible(name), tuple(_cell(*column[at]) for column in columns)))
        for at, (connector, name) in enumerate(tools)
    ]
    return tuple(
        Connector(name, tuple(tool for _, tool in each))
        for name, each in groupby(rows, key=lambda it: it[0])
    )


def _cell(decision: str, because: str) -> Cell:
    return Cell(decision, _SAID[decision], visible(because))


def _lines(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Write pairs shortly: users who come through the same agents share a line."""
    through: dict[str, list[str]] = {}
    for user, agent in pairs:
        through.setdefault(user, []).append(agent)
    users: dict[tuple[str, ...], list[str]] = {}
    for user, agents in through.items():
        users.setdefault(tuple(agents), []).append(user)
    return tuple(
        f"{', '.join(map(visible, who))} via {', '.join(map(visible, agents))}"
        for agents, who in users.items()
    )
