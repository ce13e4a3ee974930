"""Options that all scans have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from bascule.scan.rule import SEVERITIES, Severity

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a scan is reported."""

    as_json: bool
    fail_on: Severity


def report_options(command: F) -> F:
    """Add what says how a scan is reported; it comes as `report: ReportOptions`."""

    def run(*args: Any, as_json: bool, fail_on: Severity, **kwargs: Any) -> Any:
        options = ReportOptions(as_json=as_json, fail_on=fail_on)
        return command(*args, report=options, **kwargs)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    for option in reversed(_REPORTED):
        run = option(run)
    return run  # type: ignore[return-value]  # the options are taken off again


_REPORTED = (
    click.option(
        "--fail-on",
        type=click.Choice(SEVERITIES),
        default="low",
        show_default=True,
        help="Exit 1 when a finding is as bad as this.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)
