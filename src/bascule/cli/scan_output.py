"""How a scan ends: what it prints and writes, and with which exit code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import click

from bascule.cli.scan_options import ReportOptions, Threshold
from bascule.clock import UnixTime, system_clock
from bascule.errors import BasculeError
from bascule.scan.baseline import Compared, compared, day_of, write_baseline
from bascule.scan.report import Report
from bascule.scan.reports.json import json_report
from bascule.scan.reports.plain import inert
from bascule.scan.reports.text import text_report
from bascule.scan.rule import reaches

FOUND = 1
"""Exit code: a finding is as bad as `--fail-on`."""
_COLOURS: Mapping[str, str] = {
    "critical": "red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
}
_WIDEST = 110
"""Characters of a line of text that are read with ease."""


def finish(
    ctx: click.Context,
    report: Report,
    options: ReportOptions,
    *,
    lines: str | None = None,
    counted: str = "",
) -> None:
    """Print a report, write what else was asked for, and exit.

    `lines` are what `--json` prints where that is no report; `counted` says how much was
    looked at where that is no number of servers.
    """
    now = system_clock()
    held = compared(report.findings, options.baseline, today=day_of(now))
    if not options.as_json:
        text = text_report(report, held, counted=counted, width=_width(), style=_styled)
        _show(inert(text))
    elif lines is None:
        _emit(inert(json_report(report, held, version=_version(), now=now)))
    elif lines:
        _emit(inert(lines))
    for name, path in options.files:
        scan = ctx.info_name or "scan"
        _write(path, _document(name, report, held, options.fail_on, now, scan))
    if options.write_baseline is not None:
        text = write_baseline(report.findings, options.baseline, today=day_of(now))
        _write(options.write_baseline, text)
    ctx.exit(FOUND if _fails(report, held, options.fail_on) else 0)


def _show(text: str) -> None:
    """Print text; characters that a terminal's encoding has not, as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def _emit(json: str) -> None:
    """Print JSON in UTF-8, whatever encoding a terminal has (RFC 8259 §8.1)."""
    click.echo(json.encode())


def _fails(report: Report, held: Compared, threshold: Threshold) -> bool:
    return threshold != "never" and any(
        reaches(it.severity, threshold) for it in report.findings if held.counts(it)
    )


def _document(
    name: str,
    report: Report,
    held: Compared,
    fail_on: Threshold,
    now: UnixTime,
    scan: str,
) -> str:
    """Write a report in one of `FORMATS`; their modules are imported when they are used."""
    if name == "sarif":
        from bascule.scan.reports.sarif import sarif_report

        return sarif_report(
            report, held, version=_version(), now=now, root=Path.cwd(), name=scan
        )
    if name == "html":
        from bascule.app.scan_page import scan_page
        from bascule.web.times import minute

        return scan_page(report, held, made=f"Scanned {minute(now)}")
    from bascule.scan.reports.junit import junit_report

    return junit_report(report, held, threshold=None if fail_on == "never" else fail_on)


def _version() -> str:
    return version("bascule")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as exc:
        raise BasculeError(f"cannot write `{path}`: {exc.strerror}") from exc


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)


def _styled(text: str, style: str) -> str:
    colour = _COLOURS.get(style)
    return click.style(text, fg=colour, bold=style != "quiet", dim=style == "quiet" or None)
