"""How a scan ends: options, files and exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import Commands
from bascule.cli.scan_options import ReportOptions, report_options
from bascule.cli.scan_output import finish
from bascule.scan.finding import found
from bascule.scan.report import Gap, Report
from bascule.scan.server import Server
from scanned import OPEN, report

Scan = Callable[..., Result]


def scanning(found: Report) -> Scan:
    """Give a command that finds what it is told; all else is as in the others."""

    @click.group(cls=Commands, lazy={})
    def main() -> None: ...

    @click.command()
    @report_options
    @click.option("--other", is_flag=True)
    @click.pass_context
    def look(ctx: click.Context, *, other: bool, report: ReportOptions) -> None:
        """Look."""
        finish(ctx, found, report)

    main.get_command = lambda ctx, name: look  # type: ignore[method-assign]

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["look", *arguments], catch_exceptions=False)

    return run


@pytest.fixture
def scan() -> Scan:
    return scanning(report())


@pytest.mark.parametrize(
    ("threshold", "code"),
    [("info", 1), ("medium", 1), ("high", 1), ("critical", 0), ("never", 0)],
)
def test_the_exit_code_follows_the_threshold(scan: Scan, threshold: str, code: int) -> None:
    assert scan("--fail-on", threshold).exit_code == code


def test_without_a_threshold_low_is_enough_and_info_is_not() -> None:
    assert scanning(report())().exit_code == 1
    assert scanning(Report())().exit_code == 0


def test_options_of_a_command_stay_whatever_their_order(scan: Scan) -> None:
    assert scan("--other", "--fail-on", "never").exit_code == 0


def test_a_baseline_is_written_filled_in_and_counts(scan: Scan, tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    assert scan("--write-baseline", str(file)).exit_code == 1
    refused = scan("--baseline", str(file))
    assert refused.exit_code == 3
    assert "has no reason: say why it is accepted" in refused.stderr
    file.write_text(file.read_text().replace('reason = ""', 'reason = "a test bed"'))
    accepted = scan("--baseline", str(file), "--json")
    assert accepted.exit_code == 0
    findings = json.loads(accepted.stdout)["findings"]
    assert [it["suppressed"]["reason"] for it in findings] == ["a test bed"] * 2


def test_reasons_are_not_written_over_unread(scan: Scan, tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    scan("--write-baseline", str(file))
    text = file.read_text().replace('reason = ""', 'reason = "mine"')
    file.write_text(text)
    refused = scan("--write-baseline", str(file))
    assert refused.exit_code == 3
    assert "give it as --baseline too" in refused.stderr
    other = scan("--write-baseline", str(file), "--baseline", str(tmp_path / "none"))
    assert other.exit_code == 3
    assert file.read_text() == text
    scan("--baseline", str(file), "--write-baseline", str(file))
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the baseline"),
        (b"\xff", "is no text in UTF-8"),
        (b"#" * ((4 << 20) + 1), "is larger than"),
        (b"x = 1", "`x` is not known here"),
    ],
)
def test_a_baseline_that_is_none_stops_the_scan(
    scan: Scan, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "base.toml"
    if content is not None:
        file.write_bytes(content)
    result = scan("--baseline", str(file))
    assert (result.exit_code, result.stdout) == (3, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("name", "holds"), [("sarif", '"2.1.0"'), ("junit", "<testsuites")]
)
def test_reports_are_written_beside_what_is_printed(
    scan: Scan, tmp_path: Path, name: str, holds: str
) -> None:
    file = tmp_path / "report"
    result = scan(f"--{name}", str(file), "--json")
    assert json.loads(result.stdout)["findings"]
    assert holds in file.read_text()


def test_a_file_that_cannot_be_written_is_said(scan: Scan, tmp_path: Path) -> None:
    result = scan("--write-baseline", str(tmp_path / "nowhere" / "base.toml"))
    assert result.exit_code == 3
    assert "cannot write" in result.stderr


COMMANDS = (
    "::add-mask::secret",
    "##[set-output name=a]b",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[buildStatus status='SUCCESS']",
)
OBEYED = re.compile(r"^\s*::[a-z].*::|##\w*\[", re.MULTILINE)
"""What runners of GitHub, Azure and TeamCity take for a command in a log."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_runner_of_a_pipeline_finds_no_command_in_what_is_printed(command: str) -> None:
    assert OBEYED.search(f"  {command}")
    many = " ".join([command] * 60)  # so that lines break before it
    finding = found(OPEN, command, many, title=many, fix=many)
    gap = Gap(target=command, what=command, why=many)
    server = Server(name=command, url=command)
    scan = scanning(Report(findings=(finding,), not_assessed=(gap,), servers=(server,)))
    assert not OBEYED.search(scan().output)
    printed = scan("--json").stdout
    assert not OBEYED.search(printed)
    assert json.loads(printed)["findings"][0]["evidence"] == many


def test_addresses_stay_as_they_are() -> None:
    finding = found(OPEN, "::1", "[::]:80 and ::ffff:10.0.0.1")
    text = scanning(Report(findings=(finding,)))().output
    assert "  ::1\n" in text
    assert "[::]:80 and ::ffff:10.0.0.1" in text


def test_help_waits_for_nothing_that_only_a_scan_needs() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from bascule.cli.main import main\n"
        "assert CliRunner().invoke(main, ['scan', '--help']).exit_code == 0\n"
        "print(*{it.partition('.')[0] for it in sys.modules})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "click" in loaded
    late = {
        "cryptography",
        "jinja2",
        "sqlalchemy",
        "starlette",
        "tomlkit",
        "uvloop",
        "yaml",
    }
    assert loaded & late == set()
