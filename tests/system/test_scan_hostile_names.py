"""Hostile names in a repository, through the real command into every report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.cli.main import main
from scanned import HOSTILE, UNSEEN
from twins.server import twin

NAME = HOSTILE.replace("\ud800", "").replace("\x00", "")
FILE = {
    "mcpServers": {
        NAME: {"command": "npx", "args": ["-y", f"pkg {NAME}"], "env": {NAME: NAME}},
        "::add-mask::x": {"url": f"http://192.0.2.1/{NAME}", "headers": {"X": NAME}},
        "##vso[task.setvariable variable=a]b": {"command": f"./{NAME}"},
    }
}
OBEYED = re.compile(r"^\s*::[a-z].*::|##\w*\[", re.MULTILINE)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("repository")
    (folder / ".mcp.json").write_text(json.dumps(FILE))
    written = {it: folder / it for it in ("sarif", "junit", "html", "base")}
    options = [f"--{it}={written[it]}" for it in ("sarif", "junit", "html")]
    options.append(f"--write-baseline={written['base']}")
    scan = ["scan", "configs", str(folder)]
    text = CliRunner().invoke(main, [*scan, *options], catch_exceptions=False)
    assert text.exit_code == 1
    as_json = CliRunner().invoke(main, [*scan, "--json"], catch_exceptions=False)
    found = {it: path.read_text() for it, path in written.items()}
    return {**found, "text": text.output, "json": as_json.stdout}


@pytest.mark.parametrize("name", ["text", "json", "sarif", "junit", "html", "base"])
def test_nothing_unseen_is_in_any_report(reports: dict[str, str], name: str) -> None:
    assert set(reports[name]) & UNSEEN == set()
    if name in {"text", "json"}:
        assert not OBEYED.search(reports[name])


def test_all_three_servers_are_found_under_their_names(reports: dict[str, str]) -> None:
    document = json.loads(reports["json"])
    names = {it["name"].replace("\\\\", "\\") for it in document["servers"]}
    assert {"::add-mask::x", "##vso[task.setvariable variable=a]b"} <= names
    assert len(names) == 3
    assert len({it["id"] for it in document["findings"]}) == len(document["findings"]) > 3


def test_the_other_formats_are_whole(reports: dict[str, str]) -> None:
    count = len(json.loads(reports["json"])["findings"])
    (run,) = json.loads(reports["sarif"])["runs"]
    assert len(run["results"]) == count
    cases = ET.fromstring(reports["junit"]).findall(".//testcase")  # noqa: S314 - our own
    assert len(cases) >= count
    assert reports["html"].count("<li><code>") == count
    assert reports["html"].count("<script>") == 1
    assert reports["base"].count("[[accepted]]") == count


def test_what_a_server_calls_itself_is_shown_and_not_obeyed() -> None:
    with twin(token=False, info={"name": NAME, "version": NAME}) as server:
        for more in ([], ["--json"]):
            shown = CliRunner().invoke(main, ["scan", "url", server.url, *more]).output
            assert "onerror=alert(1)" in shown
            assert set(shown) & UNSEEN == set()
            assert not OBEYED.search(shown)


def test_names_that_an_encoding_has_not_stop_no_scan(tmp_path: Path) -> None:
    name, encoding = "日本 é", "cp1252"
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": {name: {"url": "x"}}}))
    command = [sys.executable, "-m", "bascule.cli.main", "scan", "configs", "."]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for more in ((), ("--json",)):
        result = subprocess.run(
            [*command, "--fail-on", "never", *more],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        if more:
            assert json.loads(result.stdout)["servers"][0]["name"] == name
        else:
            assert name.encode(encoding, "backslashreplace") in result.stdout
