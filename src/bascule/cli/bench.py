"""`bascule bench`: what a call costs on this machine."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click
import msgspec

from bascule.bench.decisions import Decisions
from bascule.bench.report import Report, Target
from bascule.bench.run import PEERS, Options, run
from bascule.bench.supply_chain import Sizes, SupplyChain
from bascule.bench.tools import find_tools, packaged_envoy
from bascule.cli.output import emit
from bascule.cli.user import as_json_option


@click.command()
@click.option("--seconds", type=click.IntRange(1, 5), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 5), default=3, show_default=True)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(PEERS),
    multiple=True,
    help="Compare with this one; repeatable [default: all].",
)
@click.option(
    "--cold/--no-cold", default=True, help="Also with new tokens, new names, long lists."
)
@click.option(
    "--supply-chain/--no-supply-chain",
    default=True,
    help="Also what locks and approvals cost.",
)
@click.option("--decisions/--no-decisions", default=True, help="Also what decisions cost.")
@as_json_option
def bench(
    *,
    seconds: int,
    rounds: int,
    peers: tuple[str, ...],
    cold: bool,
    supply_chain: bool,
    decisions: bool,
    as_json: bool,
) -> None:
    """Measure a call's CPU time, beside nginx and Envoy; needs no configuration."""
    tools = find_tools(os.environ.get("PATH", os.defpath), packaged=packaged_envoy())
    signal.signal(signal.SIGTERM, _end)
    chosen = tuple(dict.fromkeys(peers)) or PEERS
    sizes = Sizes() if supply_chain else None
    options = Options(seconds, rounds, chosen, cold, sizes, decisions)
    found = run(options, tools, lambda text: click.echo(text, err=True))
    emit(msgspec.to_builtins(found), text=_table(found), as_json=as_json)


def _end(number: int, _: FrameType | None) -> None:
    """Leave by an exception, so that all that was started is ended."""
    sys.exit(128 + number)


def _table(found: Report) -> str:
    rows = {"bascule": found.bascule, **found.peers, "direct": found.direct}
    lines = [f"{'':<11}{'CPU us':>9}{'req/s':>10}{'p50 us':>9}{'p99 us':>9}{'ratio':>8}"]
    lines += [_line(name, row, found.ratio.get(name)) for name, row in rows.items()]
    if found.cold is not None:
        lines.append(f"cold: {found.cold.cpu_us} us CPU with a new token each time")
    if found.cold_decision is not None:
        lines.append(f"cold: {found.cold_decision.cpu_us} us CPU with a new tool each time")
    if found.lists is not None:
        lines.append(
            f"a list of 500 tools: first {found.lists.first_ms} ms, "
            f"then {found.lists.cpu_us} us CPU"
        )
    if found.supply_chain is not None:
        lines += _supply_chain(found.supply_chain)
    if found.decisions is not None:
        lines += _decisions(found.decisions)
    lines.append(
        f"at one connection {found.added_p50_us} us added to the median; "
        f"one fsync {found.fsync_us} us; {found.pss_mb} MB"
    )
    lines += [f"not assessed: {it.name}: {it.reason}" for it in found.not_assessed]
    return "\n".join(lines)


def _supply_chain(found: SupplyChain) -> list[str]:
    gate, matching, launch, npx = found.gate, found.matching, found.launch, found.npx
    lines = [
        f"verify: {found.verify_ms:.0f} ms for a tree of 4,000 files",
        f"gate: {gate.call_us:.1f} us a call, {gate.list_ms:.2f} ms a list of 50 tools, "
        f"{gate.first_list_ms:.2f} ms the first",
        f"match: {matching.ms:.0f} ms for {matching.packages} packages and "
        f"{matching.advisories} advisories",
    ]
    if launch is not None:
        lines.append(
            f"launch: {launch.added_ms:.0f} ms added to {launch.bare_ms:.0f} ms, "
            f"{launch.files} files hashed"
        )
    if npx is not None:
        lines.append(f"npx: {npx.added_ms:.0f} ms added to {npx.bare_ms:.0f} ms")
    return lines


def _decisions(found: Decisions) -> list[str]:
    return [
        f"decision: {found.asked_us:.0f} us at 60 policies, "
        f"{found.asked_of_many_us:.0f} us at 1,000, {found.remembered_us:.1f} us again, "
        f"{found.beside_rules_us:.1f} us beside rules for others, "
        f"{found.bounded_us:.1f} us with a boundary, "
        f"{found.closable_us:.0f} us where a flow may close",
        f"500 tools for somebody new: {found.first_list_ms:.0f} ms; "
        f"1,000 policies taken up in {found.reload_ms:.0f} ms; "
        f"rights of 200 users, 20 agents, 500 tools compared in {found.diff_s:.1f} s",
    ]


def _line(name: str, row: Target, ratio: float | None) -> str:
    numbers = f"{row.cpu_us:>9.1f}{row.rps:>10.0f}{row.p50_us:>9.0f}{row.p99_us:>9.0f}"
    return f"{name:<11}{numbers}" + (f"{ratio:>8.2f}" if ratio is not None else "")
