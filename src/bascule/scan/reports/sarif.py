"""The report as SARIF 2.1.0 (OASIS, with Errata 01), fit for GitHub's code scanning.

All rules are always there, with what they are related to in each taxonomy. What others
wrote is in messages only, where neither links nor placeholders are left of it (§3.11.5,
§3.11.6); it is in no `markdown`.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bascule.clock import UnixTime
from bascule.scan.baseline import Compared
from bascule.scan.finding import Finding
from bascule.scan.report import Gap, Report
from bascule.scan.reports.places import Place, paths_of, place_of
from bascule.scan.reports.plain import plain
from bascule.scan.rule import Rule, Severity
from bascule.scan.rules import RULES
from bascule.scan.taxonomies import TAXONOMIES, Taxonomy

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS: Mapping[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_SCORES: Mapping[Severity, str] = {
    "critical": "9.5",
    "high": "8.0",
    "medium": "5.5",
    "low": "3.0",
    "info": "0.0",
}
"""`security-severity` of GitHub: above 9 is critical, from 7 high, from 4 medium."""
_CWE = "CWE"


def sarif_report(
    report: Report,
    held: Compared,
    *,
    version: str,
    now: UnixTime,
    root: Path | None = None,
    name: str = "scan",
    rules: Mapping[str, Rule] = RULES,
) -> str:
    """Write the report as one run.

    Files below `root` are named relative to it, as in a repository. Runs of one `name`
    take each other's place where they are collected.
    """
    run = {
        "tool": {"driver": _driver(rules, version)},
        "automationDetails": {"id": f"bascule/{name}/"},
        "taxonomies": [*map(_taxonomy, TAXONOMIES), _weaknesses(rules)],
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": _utc(now),
                "toolExecutionNotifications": [*map(_gap, report.not_assessed)],
            }
        ],
        "results": [*_results(report, held, [*rules], root)],
        "properties": {
            "servers": len(report.servers),
            "requests": len(report.requests),
            "scope": [plain(it) for it in report.scope],
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log)).decode()


def _driver(rules: Mapping[str, Rule], version: str) -> dict[str, Any]:
    used = _used_weaknesses(rules)
    return {
        "name": "Bascule",
        "version": version,
        "rules": [_rule(it, used) for it in rules.values()],
        "notifications": [
            {
                "id": "not-assessed",
                "shortDescription": {"text": "Something was to be looked at, and was not."},
            }
        ],
        "supportedTaxonomies": [
            {"name": it.name, "index": at, "guid": _guid(it.name, it.version)}
            for at, it in enumerate(TAXONOMIES)
        ]
        + [{"name": _CWE, "index": len(TAXONOMIES), "guid": _guid(_CWE, "")}],
    }


def _rule(rule: Rule, used: list[int]) -> dict[str, Any]:
    weaknesses = [f"external/cwe/cwe-{it:03}" for it in rule.cwe]
    return {
        "id": rule.id,
        "name": f"Mcp{''.join(it.capitalize() for it in rule.id.split('-'))}",
        "shortDescription": {"text": _literal(rule.title)},
        "fullDescription": {"text": _literal(rule.why)},
        "help": {
            "text": _literal(f"{rule.why}\n\n{rule.fix}"),
            "markdown": f"{_braced(rule.why)}\n\n**What to do.** {_braced(rule.fix)}",
        },
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "relationships": [*_relationships(rule, used)],
        "properties": {
            "security-severity": _SCORES[rule.severity],
            "promise": rule.promise,
            "tags": ["security", "mcp", *rule.owasp, *rule.agentic, *weaknesses],
        },
    }


def _relationships(rule: Rule, used: list[int]) -> Iterator[dict[str, Any]]:
    for at, taxonomy in enumerate(TAXONOMIES):
        ids = [*taxonomy.titles]
        for it in taxonomy.of(rule):
            yield _relationship(it, ids.index(it), taxonomy.name, at)
    for weakness in rule.cwe:
        yield _relationship(f"{weakness}", used.index(weakness), _CWE, len(TAXONOMIES))


def _relationship(id: str, place: int, name: str, at: int) -> dict[str, Any]:
    component = {"name": name, "index": at}
    target = {"id": id, "index": place, "toolComponent": component}
    return {"target": target, "kinds": ["relevant"]}


def _used_weaknesses(rules: Mapping[str, Rule]) -> list[int]:
    return sorted({it for rule in rules.values() for it in rule.cwe})


def _taxonomy(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "name": taxonomy.name,
        "version": taxonomy.version,
        "guid": _guid(taxonomy.name, taxonomy.version),
        "organization": taxonomy.organization,
        "shortDescription": {"text": taxonomy.about},
        "informationUri": taxonomy.uri,
        "isComprehensive": True,
        "taxa": [{"id": it, "name": title} for it, title in taxonomy.titles.items()],
    }


def _weaknesses(rules: Mapping[str, Rule]) -> dict[str, Any]:
    return {
        "name": _CWE,
        "guid": _guid(_CWE, ""),
        "organization": "MITRE",
        "shortDescription": {"text": "Common Weakness Enumeration"},
        "informationUri": "https://cwe.mitre.org/",
        "isComprehensive": False,
        "taxa": [
            {"id": f"{it}", "helpUri": f"https://cwe.mitre.org/data/definitions/{it}.html"}
            for it in _used_weaknesses(rules)
        ],
    }


def _results(
    report: Report, held: Compared, rules: list[str], root: Path | None
) -> Iterator[dict[str, Any]]:
    places = {rule: at for at, rule in enumerate(rules)}
    paths = paths_of(report.servers)
    for finding in report.findings:
        told = (finding.title, f"Seen: {finding.evidence}", f"Do: {finding.fix}")
        result: dict[str, Any] = {
            "ruleId": finding.rule,
            "kind": "fail",
            "level": _LEVELS[finding.severity],
            "message": {"text": "\n\n".join(map(_literal, told))},
            "locations": [_location(finding, place_of(finding, paths, root))],
            # Two keys: ours, and the one by which GitHub tells alerts apart.
            "partialFingerprints": {
                "basculeFinding/v1": finding.id,
                "primaryLocationLineHash": f"{finding.id.rpartition('-')[2]}:1",
            },
            "suppressions": [*_suppressions(finding, held)],
            "properties": {"severity": finding.severity, "promise": finding.promise},
        }
        if finding.rule in places:
            result["ruleIndex"] = places[finding.rule]
        yield result


def _location(finding: Finding, place: Place) -> dict[str, Any]:
    artifact = {"uri": place.uri}
    if place.relative:
        artifact["uriBaseId"] = _ROOT
    name = plain(finding.target)
    return {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {"startLine": place.line},
        },
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}],
    }


def _suppressions(finding: Finding, held: Compared) -> Iterator[dict[str, Any]]:
    entry = held.accepted.get(finding.id)
    if entry is not None:
        yield {
            "kind": "external",
            "status": "accepted",
            "justification": plain(entry.reason),
            "properties": {"expires": str(entry.expires)},
        }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "descriptor": {"id": "not-assessed", "index": 0},
        "level": "note",
        "message": {"text": _literal(f"{gap.target}: {gap.what}: {gap.why}")},
    }


_ESCAPED = str.maketrans({"\\": "\\\\", "[": "\\[", "]": "\\]", "{": "{{", "}": "}}"})


def _literal(text: str) -> str:
    """Write a text as a message in which nothing is a link or a placeholder."""
    return plain(text).translate(_ESCAPED)


def _braced(text: str) -> str:
    """Write our own Markdown so that braces in it are no placeholders."""
    return text.replace("{", "{{").replace("}", "}}")


def _utc(time: UnixTime) -> str:
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _guid(name: str, version: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bascule:taxonomy:{name}:{version}"))
