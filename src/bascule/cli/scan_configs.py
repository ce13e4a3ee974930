"""`bascule scan configs`: what MCP clients are told to start and to call."""

from __future__ import annotations

import click

from bascule.cli.scan_options import ReportOptions, report_options
from bascule.errors import BasculeError


@click.command()
@report_options
def configs(*, report: ReportOptions) -> None:
    """Not built yet."""
    raise BasculeError("not built yet")
