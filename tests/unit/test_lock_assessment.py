"""What is known against a connector's packages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bascule.clock import UnixTime
from bascule.lock.advisories import Advisory
from bascule.lock.assessment import FRESH_DAYS, Assessment, assess, packages_of
from bascule.lock.model import Access, Artifact, Entry, Finding, Launch, Package, Source

NOW = UnixTime(1_790_000_000)  # 2026-09-21
NEWEST = {"PyPI": "2026-09-20T00:00:00Z", "npm": "2026-09-20T12:00:00+00:00"}
ROOT = "pkg:pypi/thing@1.0"


def entry(*purls: str, findings: tuple[Finding, ...] = ()) -> Entry:
    """Make an entry with those packages."""
    packages = tuple(Package(it, Artifact("file")) for it in purls)
    source, launch = Source("pypi", "thing"), Launch("stdio")
    return Entry(source, launch, Access(), packages=packages, findings=findings)


def advisory(name: str = "GHSA-1", **more: Any) -> Advisory:
    """Make an advisory about `thing` before 1.2."""
    events = [{"introduced": "0"}, {"fixed": "1.2"}]
    document = {
        "id": name,
        "modified": "2026-09-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "thing"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }
    return msgspec.convert({**document, **more}, Advisory)


def assessed(
    *advisories: Advisory, newest: dict[str, str] = NEWEST, **more: Any
) -> Assessment:
    """Assess our entry."""
    about = {("PyPI", "thing"): advisories}
    return assess(entry(ROOT, **more), about, newest, now=NOW)


def test_clean_is_said_when_all_was_looked_up_in_fresh_feeds() -> None:
    assert assessed().state == "clean"


@pytest.mark.parametrize(
    ("newest", "says"),
    [
        ({}, "import osv"),
        ({"npm": NEWEST["npm"]}, "import osv"),
        ({"PyPI": "2026-09-10T00:00:00Z"}, "days old"),
        ({"PyPI": "long ago"}, "days old"),
        ({"PyPI": ""}, "days old"),
    ],
)
def test_without_a_fresh_feed_nothing_is_clean(newest: dict[str, str], says: str) -> None:
    found = assessed(newest=newest)
    assert found.state == "not_assessed"
    assert says in found.not_assessed[0]


def test_a_feed_is_fresh_for_a_week() -> None:
    assert FRESH_DAYS == 7
    at_its_end = {"PyPI": "2026-09-14T00:00:00"}  # without a zone it is UTC
    assert assessed(newest=at_its_end).state == "clean"


def test_what_is_known_is_told_from_an_old_feed_as_well() -> None:
    found = assessed(advisory(), newest={"PyPI": "2026-01-01T00:00:00Z"})
    assert (found.state, len(found.not_assessed)) == ("affected", 1)


def test_a_match_says_which_package_and_what_to_do() -> None:
    (match,) = assessed(advisory(summary="Bad", aliases=["CVE-1"])).matches
    assert match.purl == ROOT
    assert match.ids == ("CVE-1", "GHSA-1")
    assert (match.summary, match.fixed_in) == ("Bad", ("1.2",))


def test_advisories_that_are_aliases_of_each_other_are_one() -> None:
    # A and C only have B in common.
    first = advisory("A", aliases=["B"])
    second = advisory("C", aliases=["B"])
    third = advisory("D")
    found = assessed(first, second, third)
    assert sorted(it.ids for it in found.matches) == [("A", "B", "C"), ("D",)]


def test_one_that_joins_two_groups_makes_them_one() -> None:
    found = assessed(advisory("A"), advisory("B"), advisory("C", aliases=["A", "B"]))
    assert [it.ids for it in found.matches] == [("A", "B", "C")]


def test_malware_outranks_everything_and_cannot_be_accepted() -> None:
    accepted = Finding("MAL-2026-1", "not_affected", "we looked")
    found = assessed(advisory("MAL-2026-1"), advisory(), findings=(accepted,))
    assert found.state == "malware"


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (Finding("CVE-1", "not_affected", "not reachable"), "clean"),
        (Finding("GHSA-1", "fixed"), "clean"),
        (Finding("GHSA-1", "not_affected", until="2026-09-21"), "clean"),
        (Finding("GHSA-1", "not_affected", until="2026-09-20"), "affected"),
        (Finding("GHSA-1", "under_investigation"), "affected"),
        (Finding("GHSA-1", "affected"), "affected"),
        (Finding("GHSA-2", "not_affected"), "affected"),
    ],
)
def test_a_finding_counts_for_its_advisory_while_it_lasts(
    finding: Finding, state: str
) -> None:
    found = assessed(advisory(aliases=["CVE-1"]), findings=(finding,))
    assert found.state == state
    assert (found.matches[0].accepted == finding) is (state == "clean")


def test_what_cannot_be_decided_is_not_assessed() -> None:
    package = {"ecosystem": "PyPI", "name": "thing"}
    events = [{"introduced": "0"}]
    odd = [{"package": package, "ranges": [{"type": "GIT", "events": events}]}]
    found = assessed(advisory(affected=odd))
    assert (found.state, found.matches[0].undecided) == ("not_assessed", True)


def test_packages_that_no_feed_knows_are_not_assessed() -> None:
    for purls in ((), ("pkg:generic/tool@1",), (ROOT, "pkg:generic/tool@1")):
        found = assess(entry(*purls), {}, NEWEST, now=NOW)
        assert (found.state, len(found.not_assessed)) == ("not_assessed", 1)


def test_what_to_look_up_is_each_package_once() -> None:
    entries = [entry(ROOT, "pkg:pypi/Other_One@2"), entry(ROOT, "pkg:generic/tool@1")]
    assert packages_of(entries) == {("PyPI", "thing"), ("PyPI", "other-one")}
