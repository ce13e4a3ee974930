"""JUnit XML: what fails, what is skipped, what passes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bascule.scan.baseline import Compared, compared
from bascule.scan.report import Report
from bascule.scan.reports.junit import junit_report
from bascule.scan.reports.plain import plain
from bascule.scan.rule import Severity
from scanned import HOSTILE, TODAY, UNSEEN, accepting, hostile, nothing_accepted, report


def tree(
    scanned: Report, held: Compared | None = None, threshold: Severity | None = "low"
) -> ET.Element:
    text = junit_report(scanned, held or nothing_accepted(scanned), threshold=threshold)
    assert set(text) & UNSEEN == set()
    return ET.fromstring(text.encode())  # noqa: S314 - it is our own


@pytest.mark.parametrize(
    ("threshold", "failed"), [("low", 2), ("high", 1), ("critical", 0), (None, 0)]
)
def test_a_finding_fails_that_reaches_the_threshold(
    threshold: Severity | None, failed: int
) -> None:
    root = tree(report(), threshold=threshold)
    assert len(root.findall(".//failure")) == int(root.get("failures", "")) == failed
    assert len(root.findall(".//testcase")) == int(root.get("tests", "")) == 4


def test_a_failure_says_what_was_seen_and_what_to_do() -> None:
    failure = tree(report()).find(".//failure")
    assert failure is not None
    assert failure.get("type") == "high"
    assert "tools/list: 3 tools\nWhat to do: Put it behind" in (failure.text or "")


def test_accepted_and_not_assessed_are_skipped_with_the_reason() -> None:
    scanned = report()
    held = compared(scanned.findings, [accepting(scanned.findings[0])], today=TODAY)
    root = tree(scanned, held)
    told = [it.get("message") for it in root.findall(".//skipped")]
    assert told == ["accepted until 2026-12-30: a test bed", "it hung up"]
    assert root.get("skipped") == "2"
    assert root.get("failures") == "1"


def test_the_report_of_a_clean_scan_says_that_there_was_one() -> None:
    assert tree(Report()).get("tests") == "1"


def test_a_target_cannot_take_the_place_of_the_scan() -> None:
    scanned = report(findings=tuple(it for it in hostile().findings))
    names = [it.get("name") for it in tree(scanned).findall("testsuite")]
    assert names[:2] == ["scan", plain(HOSTILE)]


def test_hostile_text_stays_text() -> None:
    root = tree(hostile())
    case = root.find(f".//testcase[@classname='{'left-open'}']")
    assert case is not None
    assert case.get("name") == plain(HOSTILE)
    assert {it.tag for it in root.iter()} == {
        *("testsuites", "testsuite", "testcase", "failure", "skipped"),
    }
