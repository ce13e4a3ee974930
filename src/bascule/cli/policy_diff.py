"""`bascule policy diff`: who may do what that nobody may now, and who no longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import cell, emit, printable
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option

if TYPE_CHECKING:
    from bascule.app.rights_changes import PolicyChange
    from bascule.app.setting_changes import SettingChange
    from bascule.decision.rights_diff import Block, Difference

FOUND = 1
"""Exit code: there are differences."""
_MOST_NAMED = 12
_SIGNS = {
    "allowed": ("+", "green", "may now"),
    "wider": ("+", "green", "may now without conditions"),
    "conditions": ("~", "yellow", "may on other conditions"),
    "narrower": ("-", "yellow", "may now on conditions only"),
    "denied": ("-", "red", "may no longer"),
}


@click.command()
@click.argument("before", metavar="A", type=click.Path(exists=True, path_type=Path))
@click.argument("after", metavar="B", type=click.Path(exists=True, path_type=Path))
@as_json_option
@click.pass_context
def diff(ctx: click.Context, before: Path, after: Path, as_json: bool) -> None:
    """Compare the rights that two configurations give; exit 1 when they differ.

    A and B are configuration files, or folders with a `bascule.toml`; the policies and the
    lock beside each count with it. Users and agents are those that the state or one of the
    configurations knows. Approvals and grants do not count.
    """
    from bascule.app.candidates import read_candidate
    from bascule.app.everyone import everyone, snapshot_with_probes
    from bascule.app.rights_changes import policy_changes
    from bascule.app.setting_changes import setting_changes
    from bascule.clock import system_clock
    from bascule.decision.rights_diff import difference

    context: CommandContext = ctx.obj
    sides = [read_candidate(path) for path in (before, after)]
    old, new = map(snapshot_with_probes, sides)
    whose = everyone(sides, context.store() if context.has_state() else None)
    with Line() as line:
        found = difference(
            old,
            new,
            whose,
            system_clock(),
            lambda done, of: line.say(f"comparing: {done} of {of} pairs of user and agent"),
        )
    changes = policy_changes(old, new)
    settings = setting_changes(*(it.config for it in sides))
    emit(
        _report(found, changes, settings),
        text="\n".join(_lines(found, changes, settings)),
        as_json=as_json,
    )
    ctx.exit(FOUND if changes or settings or _all(found) else 0)


def _all(found: Difference) -> list[Block]:
    return [*found.users, *found.agents, *found.scopes, *found.combined]


def _report(
    found: Difference, changes: Sequence[PolicyChange], settings: Sequence[SettingChange]
) -> dict[str, object]:
    return {
        "users": [_row(it) for it in found.users],
        "agents": [_row(it) for it in found.agents],
        "scopes": [
            {**_row(it), "users": [], "scopes": list(it.users)} for it in found.scopes
        ],
        "combined": [_row(it) for it in found.combined],
        "policies": [
            {"id": it.id, "before": it.before, "after": it.after} for it in changes
        ],
        "settings": [
            {"path": it.path, "before": it.before, "after": it.after} for it in settings
        ],
        "counts": {
            kind: sum(it.size for it in found.combined if it.change.kind == kind)
            for kind in _SIGNS
        },
    }


def _row(block: Block) -> dict[str, object]:
    return {
        "change": block.change.kind,
        "before": block.change.before,
        "after": block.change.after,
        "reason": block.change.reason,
        "users": list(block.users),
        "agents": list(block.agents),
        "targets": list(block.targets),
    }


def _lines(
    found: Difference, changes: Sequence[PolicyChange], settings: Sequence[SettingChange]
) -> Iterator[str]:
    if not changes and not settings and not _all(found):
        yield "no differences"
        return
    yield from _section("users and roles, by themselves", found.users)
    yield from _section("agents, by themselves", found.agents)
    yield from _section("scopes of tokens, by themselves", found.scopes)
    yield from _section("users through agents", found.combined)
    written = [it for it in changes if it.is_written]
    if written:
        yield click.style("policies of files", bold=True)
    for change in written:
        yield from (*_sided("-", change.before), *_sided("+", change.after))
    if settings:
        yield click.style("settings that decide beside them", bold=True)
    for it in settings:
        text = f"{it.path}: {it.before or 'not set'} -> {it.after or 'not set'}"
        yield click.style(f"  ~ {cell(text)}", fg="yellow")


def _section(title: str, blocks: Sequence[Block]) -> Iterator[str]:
    if not blocks:
        return
    yield click.style(title, bold=True)
    for block in blocks:
        sign, colour, verb = _SIGNS[block.change.kind]
        text = f"{sign} {_who(block)} {verb}{_why(block)}: {_named(block.targets)}"
        yield click.style(f"  {printable(text)}", fg=colour)


def _who(block: Block) -> str:
    agents = _named(block.agents)
    if not block.users:
        return agents
    if block.users == (None,):
        return f"{agents} by itself"
    return _named(block.users) + (f" through {agents}" if agents else "")


def _why(block: Block) -> str:
    reason = block.change.reason
    if not reason:
        return ""
    return f" (was {reason})" if block.change.before == "deny" else f" ({reason})"


def _named(names: Sequence[str | None]) -> str:
    """Write names on one line; the agent by itself has none."""
    shown = [it or "by itself" for it in names[:_MOST_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _sided(sign: str, text: str | None) -> list[str]:
    """Write a policy, each line behind a sign."""
    return [f"  {sign} {line}" for line in printable(text or "").splitlines()]
