"""`bascule policy` and `bascule decide`: what the policies say, without calling anybody."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.clock import UnixTime
from bascule.decision.decide import KINDS
from bascule.decision.decide import decide as decide_call
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Kind, Principal
from bascule.decision.lines import toml_line
from bascule.decision.problems import Problem
from bascule.decision.snapshot import build_snapshot, policy_problems
from bascule.errors import BasculeError

FOUND = 1
"""Exit code: denied, or a policy is not valid."""


@click.group()
def policy() -> None:
    """Look at roles, ceilings, scopes and `.cedar` files."""


@policy.command()
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(ctx: click.Context, *, strict: bool, as_json: bool) -> None:
    """Find what is wrong with the policies, without starting anything."""
    context: CommandContext = ctx.obj
    problems = [
        _located(problem, context.config_path)
        for problem in policy_problems(context.config(), context.policy_files())
    ]
    ok = not any(strict or problem.severity == "error" for problem in problems)
    rows = [
        {"file": it.file, "line": it.line, "severity": it.severity, "message": it.message}
        for it in problems
    ]
    text = "\n".join(f"{it.file}:{it.line}: {it.severity}: {it.message}" for it in problems)
    emit({"ok": ok, "problems": rows}, text=text or "no problems", as_json=as_json)
    ctx.exit(0 if ok else FOUND)


def _located(problem: Problem, config_path: Path) -> Problem:
    """Give a problem of the configuration its file and line."""
    if not problem.where:
        return problem
    text = config_path.read_text(encoding="utf-8") if config_path.exists() else ""
    return replace(problem, file=str(config_path), line=toml_line(text, problem.where))


class FactsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of one call, as `bascule decide` reads them."""

    agent: str
    connector: str
    method: str
    now: int | Annotated[datetime.datetime, Meta(tz=True)]
    """Seconds since 1970-01-01T00:00:00Z, or a time as in RFC 3339."""
    user: str | None = None
    """`user:alice`, or `alice`; absent when the agent acts by itself."""
    groups: tuple[str, ...] = ()
    """`group:support`, or `support`."""
    scopes: tuple[str, ...] = ()
    name: str = ""
    kind: Kind | None = None
    """What `name` names; needed where the method does not say it."""
    arguments: dict[str, Any] | None = None
    """Taken and not looked at: no policy reads arguments."""
    agent_verified: bool = False


@click.command()
@click.argument("facts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def decide(ctx: click.Context, facts: Path, *, as_json: bool) -> None:
    """Decide the call that FACTS describes; exit 1 when it is denied."""
    context: CommandContext = ctx.obj
    call = _call_facts(facts)
    snapshot = build_snapshot(context.config(), context.policy_files())
    decision = decide_call(call, snapshot)
    word, scopes = _told(decision)
    emit(
        {
            "decision": word,
            "reason": decision.reason.value,
            "policies": list(decision.policies),
            "scopes": list(scopes),
        },
        text=" ".join((f"{word}: {decision.reason.value}", *decision.policies, *scopes)),
        as_json=as_json,
    )
    ctx.exit(0 if isinstance(decision, Allowed) else FOUND)


def _told(decision: Decision) -> tuple[str, tuple[str, ...]]:
    match decision:
        case Allowed():
            return "allow", ()
        case Denied(scopes=scopes):
            return "deny", scopes


def _call_facts(path: Path) -> CallFacts:
    try:
        read = msgspec.json.decode(path.read_bytes(), type=FactsFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BasculeError(f"`{path}` is not the facts of a call: {exc}") from exc
    principal = Principal(
        user=read.user and _prefixed("user:", read.user),
        agent=read.agent,
        groups=frozenset(_prefixed("group:", group) for group in read.groups),
        scopes=frozenset(read.scopes),
        agent_verified=read.agent_verified,
    )
    now = read.now if isinstance(read.now, int) else int(read.now.timestamp())
    kind = read.kind or _kind_of(read.method)
    return CallFacts(principal, read.connector, read.method, kind, read.name, UnixTime(now))


def _kind_of(method: str) -> Kind:
    kinds = KINDS.get(method, frozenset())
    if len(kinds) > 1:
        raise BasculeError(f"`{method}` needs `kind`: {' or '.join(sorted(kinds))}")
    return next(iter(kinds), "none")


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name
