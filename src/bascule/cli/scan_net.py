"""`bascule scan net`: networks of your own."""

from __future__ import annotations

import click

from bascule.cli.scan_options import ReportOptions, report_options
from bascule.errors import BasculeError


@click.command()
@report_options
def net(*, report: ReportOptions) -> None:
    """Not built yet."""
    raise BasculeError("not built yet")
