"""`bascule scan url`: single servers."""

from __future__ import annotations

import click

from bascule.cli.scan_options import ReportOptions, report_options
from bascule.cli.scan_scope import ScopeOptions, finish_scan, run_scan, scope_options


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@scope_options
@report_options
@click.pass_context
def url(
    ctx: click.Context, urls: tuple[str, ...], *, scope: ScopeOptions, report: ReportOptions
) -> None:
    """Probe MCP servers at URLs: what they are, and who may ask them.

    A URL with a path is that endpoint; one without is looked over at the usual paths. Other
    machines than this one need --i-own-this, and on the public internet a --scope FILE too.
    No tool is called, no credential sent, no redirect followed.
    """
    from bascule.cli.progress import Line
    from bascule.scan.sweep import PATIENT, probe_urls
    from bascule.scan.target import Target, TargetError

    try:
        targets = [Target.of_url(it) for it in urls]
    except TargetError as exc:
        raise click.UsageError(str(exc)) from exc
    wire = scope.wire((it.origin for it in targets), PATIENT)
    with Line() as line:

        def say(done: int) -> None:
            line.say(f"{done} of {len(targets)} servers")

        found = run_scan(probe_urls(wire, targets, say))
    finish_scan(ctx, found, report, wire)
