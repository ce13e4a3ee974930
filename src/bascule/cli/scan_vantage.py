"""`bascule scan vantage`: probe for a Bascule elsewhere."""

from __future__ import annotations

import click

from bascule.cli.scan_options import ReportOptions, report_options
from bascule.errors import BasculeError


@click.command()
@report_options
def vantage(*, report: ReportOptions) -> None:
    """Not built yet."""
    raise BasculeError("not built yet")
