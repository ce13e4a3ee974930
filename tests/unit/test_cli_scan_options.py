"""Options of all scans: what is wrong with them is said before anything is scanned."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.cli.main import main

ROW = '{"name": "add", "description": "Adds two numbers."}\n'


@pytest.mark.parametrize("option", ["--sarif", "--junit", "--html", "--write-baseline"])
def test_a_report_that_cannot_be_written_is_told_at_once(
    option: str, tmp_path: Path
) -> None:
    # Were it read, the missing file would be what is wrong.
    nowhere = tmp_path / "nowhere" / "report"
    command = ["scan", "text", str(tmp_path / "missing.jsonl"), option, str(nowhere)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 3
    assert f"cannot write `{nowhere}`: its folder does not exist" in result.stderr


def test_a_report_in_the_working_directory_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(ROW)
    result = CliRunner().invoke(main, ["scan", "text", "rows.jsonl", "--html", "it.html"])
    assert result.exit_code == 0
    assert Path("it.html").read_text().startswith("<!")
