"""Secrets of clients' files are in no report, whatever their shape and the format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.cli.main import main
from twins.server import twin

CANARY = "q7Zr4LxW9vKt2MbN8sYd"
FILE = {
    "mcpServers": {
        "env": {"command": "a", "env": {"GITHUB_TOKEN": f"ghp_{CANARY}0123456789abcdef"}},
        "flag": {"command": "a", "args": ["--api-key", CANARY, f"--token={CANARY}"]},
        "header": {
            "url": "https://192.0.2.1/mcp",
            "headers": {"Authorization": f"Bearer {CANARY}", "X-Api-Key": CANARY},
        },
        "query": {"url": f"http://192.0.2.1/mcp?token={CANARY}"},
        "login": {"url": f"https://me:{CANARY}@192.0.2.1/mcp"},
        "remote": {
            "command": "npx",
            "args": [
                *("-y", "mcp-remote", f"https://192.0.2.1/?api_key={CANARY}"),
                *("--header", f"Authorization: Bearer {CANARY}"),
            ],
        },
        "docker": {"command": "docker", "args": ["run", "-e", f"API_TOKEN={CANARY}", "x"]},
    }
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("repository")
    (folder / ".mcp.json").write_text(json.dumps(FILE))
    written = {it: folder / it for it in ("sarif", "junit", "html")}
    options = [f"--{name}={path}" for name, path in written.items()]
    options.append(f"--write-baseline={folder / 'base.toml'}")
    words = ["scan", "configs", str(folder)]
    text = CliRunner().invoke(main, [*words, *options], catch_exceptions=False)
    as_json = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    return {
        **{name: path.read_text() for name, path in written.items()},
        "baseline": (folder / "base.toml").read_text(),
        "text": text.output,
        "json": as_json.output,
    }


@pytest.mark.parametrize("name", ["text", "json", "sarif", "junit", "html", "baseline"])
def test_no_report_has_a_secret(reports: dict[str, str], name: str) -> None:
    assert "plain-secret" in reports[name]
    assert CANARY not in reports[name]
    assert CANARY[3:15] not in reports[name]  # nor most of one


def test_every_secret_is_a_finding(reports: dict[str, str]) -> None:
    found = json.loads(reports["json"])["findings"]
    about = {it["target"].rpartition(": ")[2] for it in found if "secret" in it["rule"]}
    assert about == set(FILE["mcpServers"])


def test_a_token_in_a_url_that_is_named_is_neither_sent_nor_shown(tmp_path: Path) -> None:
    written = {it: tmp_path / it for it in ("sarif", "junit", "html", "write-baseline")}
    options = [f"--{name}={path}" for name, path in written.items()]
    with twin() as server:
        words = ["scan", "url", f"{server.url}?token={CANARY}", "--json", *options]
        result = CliRunner().invoke(main, words, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert "token-in-url" in {it["rule"] for it in document["findings"]}
    assert document["requests"]
    assert CANARY not in result.output
    for path in written.values():
        assert CANARY not in path.read_text()
