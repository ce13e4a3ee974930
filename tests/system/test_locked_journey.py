"""A real server from its package to a call and back: added, approved, served, changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.lock.lock_file import read_lock
from patience import until
from ports import free_ports
from system.server import Installation

pytestmark = pytest.mark.on_disk

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[roles.reader]
members = ["user:alice"]
allow = ["desk/git_log", "desk/git_status", "desk/git_commit"]

[agents]
default_ceiling = ["desk/*"]
"""
POLICY = """
@id("this-repository-alone")
forbid(principal, action == Mcp::Action::"call_tool", resource == Mcp::Tool::"desk/git_log")
unless {{ context.args.repo_path == "{repository}" }};
"""
ACCESS = """
[connectors.desk.sandbox]
read = ["{repository}"]
"""


def git(repository: Path, *words: str) -> str:
    """Run git in a repository of our own."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@a.example"]
    command = ["git", *identity, "-C", str(repository), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """Give a configuration with `mcp-server-git` for one repository, added and locked."""
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    git(repository, "commit", "-q", "--allow-empty", "-m", "The first of all")
    made = Installation(tmp_path, *free_ports(2))
    made.config.write_text(CONFIG.format(public=made.public, admin=made.admin))
    made.ask("user", "add", "alice")
    command = ("uvx", "mcp-server-git", "--repository", str(repository))
    added = made.cli("add", "desk", "--owner", "platform-team", "--", *command)
    assert added.exit_code == 0, added.stderr
    text = made.config.read_text()
    made.config.write_text(text + ACCESS.format(repository=repository))
    made.ask("lock", "desk", "--with-access")
    (tmp_path / "policies").mkdir()
    policy = POLICY.format(repository=repository)
    (tmp_path / "policies" / "git.cedar").write_text(policy)
    try:
        yield made
    finally:
        made.kill()


def test_a_real_server_from_its_package_to_a_call_and_back(
    place: Installation, tmp_path: Path
) -> None:
    repository = str(tmp_path / "repository")
    (build,) = read_lock(place.folder).connectors["desk"].builds.values()
    tree = place.data / "store" / "sha256" / build.tree.sha256
    place.start()
    token = place.token()
    assert place.tool(token, "git_log", repo_path=repository).status == 503

    place.ask("approve", "desk", "--reason", "looked at it")
    until(lambda: place.call(token, "tools/list").status == 200)
    listed = place.call(token, "tools/list").json["result"]["tools"]
    assert sorted(it["name"] for it in listed) == ["git_commit", "git_log", "git_status"]
    shown = place.tool(token, "git_log", repo_path=repository)
    assert "The first of all" in shown.json["result"]["content"][0]["text"]

    # What its schema does not have, or a policy does not see at first sight.
    unknown = place.tool(token, "git_log", repo_path=repository, repoPath="/etc")
    assert unknown.error["message"] == "`repoPath` is not an argument of this tool"
    round_about = place.tool(token, "git_log", repo_path=f"{repository}/x/..//")
    assert "The first of all" in round_about.json["result"]["content"][0]["text"]
    outside = place.tool(token, "git_log", repo_path=f"{repository}/..")
    assert (outside.status, outside.error["message"]) == (400, "unknown tool")

    # It may read the repository, and nothing else; it was not given the right to write.
    written = place.tool(token, "git_commit", repo_path=repository, message="mine")
    assert written.json["result"]["isError"]
    assert git(tmp_path / "repository", "log", "--oneline").count("\n") == 1
    (start,) = place.records("--type", "server.start")
    assert start["connector"] == "desk"

    # One byte of what was approved changes: nobody can approve that again.
    changed = next(tree.glob("mcp_server_git/server.py"))
    changed.chmod(0o644)
    changed.write_bytes(changed.read_bytes().replace(b"git", b"gut", 1))
    changed.chmod(0o444)
    place.ask("reject", "desk", "--reason", "to see it start anew")
    until(lambda: place.call(token, "tools/list").status == 503)
    refused = place.cli("approve", "desk", "--reason", "looked again")
    assert refused.exit_code == 1
    assert "tree" in refused.stderr
