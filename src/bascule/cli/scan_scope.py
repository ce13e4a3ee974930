"""Options of scans that send something: to whom they may, and how fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bascule.cli.scan_options import ReportOptions

if TYPE_CHECKING:
    from bascule.scan.exchange import Limits
    from bascule.scan.report import Report
    from bascule.scan.wire import Wire

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

USAGE = 2
"""Exit code: nothing could be asked, since nothing of it is in scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeOptions:
    """What may be asked."""

    file: Path | None
    rate: float
    owned: bool

    def wire(
        self, named: Iterable[str], limits: Limits, *, max_open: int | None = None
    ) -> Wire:
        """Give the way out for what the command line names. Raises `ScopeError`."""
        from bascule.scan.interfaces import own_addresses
        from bascule.scan.scope import Scope, entries, read_scope
        from bascule.scan.wire import MAX_OPEN, Wire

        scope = Scope(
            own=own_addresses(),
            named=entries(named),
            listed=None if self.file is None else read_scope(self.file),
            owned=self.owned,
        )
        return Wire(
            scope=scope, rate=self.rate, limits=limits, max_open=max_open or MAX_OPEN
        )


DEFAULT_RATE = 50.0
THIS_MACHINE = ScopeOptions(file=None, rate=DEFAULT_RATE, owned=False)


def scope_options(command: F) -> F:
    """Add what says to whom a scan may send; it comes as `scope: ScopeOptions`."""

    @wraps(command)
    def run(
        *args: Any, scope_file: Path | None, rate: float, owned: bool, **kwargs: Any
    ) -> Any:
        options = ScopeOptions(file=scope_file, rate=rate, owned=owned)
        return command(*args, scope=options, **kwargs)

    for option in reversed(_SCOPED):
        run = option(run)
    return run  # type: ignore[return-value]  # the options are taken off again


_SCOPED = (
    click.option(
        "--scope",
        "scope_file",
        type=click.Path(path_type=Path),
        help="File of what may be asked: a CIDR, host, HOST:PORT or URL on each line.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0, 10_000, min_open=True),
        default=DEFAULT_RATE,
        show_default=True,
        help="Connections a second to other machines.",
    ),
    click.option(
        "--i-own-this",
        "owned",
        is_flag=True,
        help="What is named is yours to probe. Not needed for this machine.",
    ),
)


def run_scan(work: Coroutine[Any, Any, T]) -> T:
    """Run what a scan does until it is done."""
    if sys.platform == "win32":
        import asyncio  # here: scans that send nothing need not wait for it

        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


def finish_scan(
    ctx: click.Context, report: Report, options: ReportOptions, wire: Wire
) -> None:
    """Print the report and exit; with 2 when the scope left nothing to ask."""
    from bascule.cli.scan_output import finish

    try:
        finish(ctx, report, options)
    except click.exceptions.Exit as exc:
        if exc.exit_code or wire.sent or not report.not_assessed:
            raise
        click.echo(f"Error: nothing was asked: {report.not_assessed[0].why}", err=True)
        ctx.exit(USAGE)
