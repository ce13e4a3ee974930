"""The guides on scans: their commands can be given, and say what the guides say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from bascule.cli.main import main
from bascule.cli.scan import scan
from bascule.scan.clients import table
from twins.server import twin

pytestmark = pytest.mark.on_disk

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to" / "scan.md").read_text()
PIPELINE = (ROOT / "docs" / "how-to" / "scan-in-a-pipeline.md").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
COMMANDS = sorted(
    {
        line.partition("|")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", GUIDE + PIPELINE, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("bascule ")
    }
)
FLOATING = {"mcpServers": {"files": {"command": "npx", "args": ["-y", "some-files-mcp"]}}}
GUARDED = {"mcpServers": {"files": {"url": "http://localhost:8420/c/files/mcp"}}}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_guides_can_be_given(line: str) -> None:
    words = shlex.split(line)
    assert words[:2] == ["bascule", "scan"]
    command: click.Command = scan
    rest = words[2:]
    if rest and rest[0] in scan.list_commands(click.Context(scan)):
        found = scan.get_command(click.Context(scan), rest.pop(0))
        assert found is not None
        command = found
    command.make_context("scan", rest)


def test_the_guide_shows_what_is_printed() -> None:
    shown = GUIDE.partition("```text\n")[2].partition("```")[0]
    with twin(token=False) as server:
        result = CliRunner().invoke(main, ["scan", "url", server.url])
    assert result.exit_code == 1
    assert normal(shown) in normal(result.stdout)


def normal(text: str) -> str:
    """Leave out what is different each time: the port, and the id that depends on it."""
    return re.sub(
        r"(?<=127\.0\.0\.1:)\d+|(?<=-)[0-9a-f]{12}$", "N", text, flags=re.MULTILINE
    )


def example(name: str) -> Any:
    return yaml.safe_load(
        PIPELINE.partition(f"<!-- tested: {name} -->\n```yaml\n")[2].partition("```")[0]
    )


@pytest.fixture(params=["floating", "guarded"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int]:
    """A repository, and the exit code that its pipeline has to end with."""
    found, code = {"floating": (FLOATING, 1), "guarded": (GUARDED, 0)}[request.param]
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / ".mcp.json").write_text(json.dumps(found, indent=1))
    return folder, code


def run(
    folder: Path, *command: str, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a step as a runner does: this `bascule` first, a home of its own."""
    paths = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"HOME": str(folder.parent), "CI": "true", **(more or {}), "PATH": paths}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )


def of_bascule(steps: list[str]) -> str:
    """Give the step that scans; the other one installs this version."""
    installs, scans = steps
    assert installs == f"pip install bascule=={VERSION}"
    return scans


def test_the_job_of_github_finds_what_it_should(repository: tuple[Path, int]) -> None:
    folder, code = repository
    job = example("github")["jobs"]["scan"]
    steps = [it["run"] for it in job["steps"] if "run" in it]
    (upload,) = [it["with"] for it in job["steps"] if "upload-sarif" in it.get("uses", "")]
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    result = run(folder, *shell, of_bascule(steps))
    assert result.returncode == code, result.stdout + result.stderr
    (sarif,) = json.loads((folder / upload["sarif_file"]).read_text())["runs"]
    failed = [it for it in sarif["results"] if it["level"] in {"error", "warning"}]
    assert (failed != []) == (code == 1)
    places = [it["locations"][0]["physicalLocation"] for it in failed]
    assert {it["artifactLocation"]["uri"] for it in places} <= {".mcp.json"}
    assert all(it["region"]["startLine"] > 1 for it in places)


def test_the_job_of_gitlab_finds_what_it_should(repository: tuple[Path, int]) -> None:
    folder, code = repository
    job = example("gitlab")["mcp-servers"]
    result = run(folder, "sh", "-ec", of_bascule(job["script"]))
    assert result.returncode == code, result.stdout + result.stderr
    assert "<testsuites" in (folder / job["artifacts"]["reports"]["junit"]).read_text()


def hooks() -> list[dict[str, Any]]:
    (own,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (shown,) = example("pre-commit")["repos"][0]["hooks"]
    assert shown["id"] == own["id"]
    assert shown["additional_dependencies"] == [f"bascule=={VERSION}"]
    return [own, shown]


@pytest.mark.parametrize("hook", hooks(), ids=["offered", "shown"])
def test_the_hook_finds_what_it_should(
    hook: dict[str, Any], repository: tuple[Path, int]
) -> None:
    """As pre-commit does it: `files` is searched for, names come after the entry."""
    folder, code = repository
    names = [it for it in (".mcp.json", "README.md") if re.search(hook["files"], it)]
    assert names == [".mcp.json"]
    # The one that is offered also fails on what is low.
    arguments = [*shlex.split(hook["entry"]), *names]
    result = run(folder, *arguments)
    assert result.returncode == code, result.stdout + result.stderr


def test_a_baseline_counts_in_every_copy_of_a_repository(tmp_path: Path) -> None:
    """Ids are those of the repository, wherever it lies, and however it is named."""
    scans = ("bascule", "scan", "configs", "--fail-on", "medium")
    for name in ("laptop", "pipeline"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".mcp.json").write_text(json.dumps(FLOATING))
    written = tmp_path / "accepted.toml"
    run(tmp_path / "laptop", *scans, ".", f"--write-baseline={written}")
    text = written.read_text()
    assert 'target = ".mcp.json: files"' in text
    written.write_text(text.replace('reason = ""', 'reason = "known"'))
    for path in (".", "./.mcp.json"):
        result = run(tmp_path / "pipeline", *scans, path, f"--baseline={written}")
        assert result.returncode == 0, result.stdout


@pytest.mark.soak
def test_pre_commit_itself_runs_the_hook(repository: tuple[Path, int]) -> None:
    """With the `bascule` that is here: no registry has this version yet."""
    folder, code = repository
    config = example("pre-commit")
    (hook,) = config["repos"][0]["hooks"]
    del hook["additional_dependencies"]
    hook["language"] = "system"
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    for command in ("git init -q .", "git add ."):
        assert run(folder, *command.split()).returncode == 0
    tool = ("uv", "tool", "run", "--quiet", "pre-commit", "run", "--all-files")
    result = run(folder, *tool, more=os.environ)  # uv has settings of the machine's
    assert result.returncode == code, result.stdout + result.stderr
    assert "MCP servers" in result.stdout


@pytest.mark.parametrize(
    "path", sorted({it.path for it in table().locations if it.scope == "project"})
)
def test_the_hook_that_is_offered_is_given_every_file_of_projects(path: str) -> None:
    offered = hooks()[0]["files"]
    for below in ("", "packages/a/"):
        assert re.search(offered, below + path.replace("*", "x")), path
    assert not re.search(offered, path.replace(".", "_"))
