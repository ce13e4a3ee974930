"""`bascule scan text`: what definitions of tools say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bascule.cli.scan_options import ReportOptions, report_options

if TYPE_CHECKING:
    from bascule.scan.finding import Finding
    from bascule.scan.text.judge import Verdict


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@report_options
@click.pass_context
def text(ctx: click.Context, file: Path, *, report: ReportOptions) -> None:
    """Read the definitions in FILE.jsonl (- is standard input), and judge what they say.

    Each line is one definition: {"name", "description", "input_schema"?, "server"?}.
    Definitions of the same "server" are siblings, and may speak of each other. The tier
    "block" (severity high) takes a reason to go on, "flag" (medium) a person who looks.
    Of several servers it also says what they can do together, and whose names collide.
    With --json one line for each definition, in the order of the file.
    """
    from bascule.cli.scan_output import finish
    from bascule.scan.report import Report
    from bascule.scan.rule import SEVERITIES
    from bascule.scan.text.findings import findings
    from bascule.scan.text.judge import judge
    from bascule.scan.text.sets import set_findings

    definitions = _read(file)
    siblings = _siblings(row for _, row in definitions)
    found: list[Finding] = []
    lines: list[str] = []
    for number, row in definitions:
        verdict = judge(row, siblings.get(_server(row), ()))
        name = str(row["name"])
        target = f"{_server(row)}: {name}" if _server(row) else f"{file}: {name}"
        found += findings(verdict, target, name, path=str(file), line=number)
        if report.as_json:
            lines.append(_line(name, verdict))
    found += set_findings(_by_server(row for _, row in definitions), str(file))
    ordered = sorted(found, key=lambda it: SEVERITIES.index(it.severity))
    whole = Report(findings=tuple(ordered), scope=(str(file),))
    size = len(definitions)
    counted = "1 definition" if size == 1 else f"{size} definitions"
    finish(ctx, whole, report, lines="\n".join(lines), counted=counted)


def _read(file: Path) -> list[tuple[int, Mapping[str, Any]]]:
    from bascule.errors import BasculeError
    from bascule.scan.text.rows import rows

    try:
        with click.open_file(str(file), "rb") as lines:
            return list(rows(iter(lines), str(file)))
    except OSError as exc:
        raise BasculeError(f"cannot read `{file}`: {exc.strerror}") from exc


def _server(row: Mapping[str, Any]) -> str:
    server = row.get("server")
    return server if isinstance(server, str) else ""


def _siblings(rows: Iterable[Mapping[str, Any]]) -> dict[str, Collection[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        if _server(row):
            found.setdefault(_server(row), set()).add(str(row["name"]))
    return dict(found)


def _by_server(
    rows: Iterable[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if _server(row):
            found.setdefault(_server(row), []).append(row)
    return found


def _line(name: str, verdict: Verdict) -> str:
    from bascule.lock.invisible import json_text
    from bascule.scan.text.findings import quote

    evidence = [
        {"rule": it.rule, "where": it.where, "quote": quote(it.quote)}
        for it in verdict.evidence
    ]
    value = {
        "name": name,
        "tier": verdict.tier,
        "rules": verdict.rules,
        "evidence": evidence,
    }
    return json_text(value)
