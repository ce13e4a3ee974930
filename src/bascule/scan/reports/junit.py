"""The report as JUnit XML, as pipelines read it: a suite for each target.

A finding that reaches the threshold is a failed case, any other passes; what was accepted
or could not be looked at is a skipped one. One more case says that there was a scan: a
pipeline must be able to tell a clean one from none.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from bascule.scan.baseline import Compared
from bascule.scan.finding import Finding
from bascule.scan.report import Report
from bascule.scan.reports.plain import plain
from bascule.scan.rule import Severity, reaches


def junit_report(report: Report, held: Compared, *, threshold: Severity | None) -> str:
    """Write the report; with a threshold of None nothing fails."""
    suites: dict[str, list[ET.Element]] = {}
    for finding in report.findings:
        suite = suites.setdefault(plain(finding.target), [])
        suite.append(_case(finding, held, threshold))
    for gap in report.not_assessed:
        case = ET.Element("testcase", classname="not-assessed", name=plain(gap.what))
        ET.SubElement(case, "skipped", message=plain(gap.why))
        suites.setdefault(plain(gap.target), []).append(case)
    looked = f"{len(report.servers)} servers were looked at"
    scan = ET.Element("testcase", classname="scan", name=looked)
    root = ET.Element("testsuites", name="bascule scan")
    for name, cases in [("scan", [scan]), *suites.items()]:
        root.append(_suite(name, cases))
    for kind in ("tests", "failures", "skipped"):
        root.set(kind, str(sum(int(it.get(kind, "0")) for it in root)))
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(name: str, cases: list[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=name, tests=str(len(cases)), errors="0")
    for kind, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(finding: Finding, held: Compared, threshold: Severity | None) -> ET.Element:
    case = ET.Element("testcase", classname=finding.rule, name=plain(finding.title))
    entry = held.accepted.get(finding.id)
    told = (
        f"{plain(finding.evidence)}\nWhat to do: {plain(finding.fix)}\nid: {finding.id}\n"
    )
    if entry is not None:
        why = f"accepted until {entry.expires}: {plain(entry.reason)}"
        ET.SubElement(case, "skipped", message=why)
    elif threshold is not None and reaches(finding.severity, threshold):
        failure = ET.SubElement(
            case, "failure", type=finding.severity, message=plain(finding.title)
        )
        failure.text = told
    else:
        ET.SubElement(case, "system-out").text = f"{finding.severity}: {told}"
    return case
