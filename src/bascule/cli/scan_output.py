"""How a scan ends: what it prints, and with which exit code."""

from __future__ import annotations

import click
import msgspec

from bascule.cli.output import cell, emit_json
from bascule.cli.scan_options import ReportOptions
from bascule.scan.report import Report
from bascule.scan.rule import reaches

FOUND = 1
"""Exit code: a finding is as bad as `--fail-on`."""


def finish(ctx: click.Context, report: Report, options: ReportOptions) -> None:
    """Print a report, and exit."""
    if options.as_json:
        emit_json(msgspec.to_builtins(report))
    else:
        for finding in report.findings:
            click.echo(f"{finding.severity}  {cell(finding.target)}  {cell(finding.title)}")
            click.echo(f"    {cell(finding.evidence)}\n    -> {cell(finding.fix)}")
        for gap in report.not_assessed:
            click.echo(
                f"not assessed  {cell(gap.target)}: {cell(gap.what)}: {cell(gap.why)}"
            )
    bad = any(reaches(it.severity, options.fail_on) for it in report.findings)
    ctx.exit(FOUND if bad else 0)
