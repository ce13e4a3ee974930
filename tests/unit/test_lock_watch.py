"""What comes up after an approval, and what nobody can know."""

from __future__ import annotations

from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.lock.approvals import Verdict
from bascule.lock.assessment import Assessment, Match
from bascule.lock.model import (
    Access,
    Artifact,
    Entry,
    Finding,
    Launch,
    Package,
    Provenance,
    Source,
)
from bascule.lock.watch import (
    DAY_SECONDS,
    WARN_DAYS,
    of_advisories,
    of_approval,
    of_provenance,
    of_versions,
)

NOW = UnixTime(1_790_000_000)
WORKFLOW = "https://github.com/a/b/.github/workflows/release.yml@refs/tags/v1"
BUILT = Provenance("verified", "https://issuer", "github.com/a/b", WORKFLOW)
PACKAGE = Package("pkg:pypi/thing@1.0", Artifact("thing.whl"), provenance=BUILT)
ENTRY = Entry(Source("pypi", "thing"), Launch("stdio"), Access(), packages=(PACKAGE,))
MATCH = Match(PACKAGE.purl, ("CVE-1",), "Bad", "high", ("1.2",), False, False)


def newer(**changes: object) -> Entry:
    """Give what the registry would resolve to now."""
    return replace(ENTRY, packages=(replace(PACKAGE, **changes),))


def test_each_advisory_is_told_with_its_package_and_remedy() -> None:
    (news,) = of_advisories("a", Assessment("affected", (MATCH,)))
    assert (news.state, news.ids, news.stops) == ("found", ("CVE-1",), False)
    assert news.detail == "pkg:pypi/thing@1.0: high: Bad; fixed in 1.2"


def test_malware_stops_a_connector() -> None:
    malware = Match(PACKAGE.purl, ("MAL-1",), "", "", (), True, False)
    (news,) = of_advisories("a", Assessment("malware", (malware,)))
    assert (news.state, news.stops) == ("found", True)
    assert "malware" in news.detail


def test_what_may_be_and_what_is_not_known_is_not_assessed() -> None:
    perhaps = Match(PACKAGE.purl, ("CVE-1",), "Bad", "", (), False, True)
    told = list(of_advisories("a", Assessment("not_assessed", (perhaps,), ("no feed",))))
    assert [it.state for it in told] == ["not_assessed", "not_assessed"]
    assert told[1].detail == "no feed"


def test_what_was_looked_at_is_fine() -> None:
    looked = Match(
        PACKAGE.purl, ("CVE-1",), "Bad", "", (), False, False, Finding("CVE-1", "fixed")
    )
    (news,) = of_advisories("a", Assessment("clean", (looked,)))
    assert news.state == "fine"


def test_an_approval_is_told_of_before_it_ends() -> None:
    def told(days: float) -> str:
        ends = UnixTime(NOW + int(days * DAY_SECONDS))
        return of_approval("a", Verdict("approved", "", ends), now=NOW).state

    assert (told(WARN_DAYS), told(WARN_DAYS - 0.1)) == ("fine", "found")
    assert of_approval("a", Verdict("expired", "it ended"), now=NOW).state == "found"
    assert of_approval("a", Verdict("approved", ""), now=NOW).state == "fine"


def test_newer_versions_and_withdrawn_ones_are_told() -> None:
    assert of_versions("a", ENTRY, ENTRY, "").state == "fine"
    found = of_versions("a", ENTRY, newer(purl="pkg:pypi/thing@1.1"), "")
    assert (found.state, found.ids) == ("found", ("pkg:pypi/thing@1.1",))
    withdrawn = of_versions("a", ENTRY, newer(yanked="broken"), "")
    assert (withdrawn.state, withdrawn.ids) == ("found", (PACKAGE.purl,))
    assert "withdrawn" in withdrawn.detail


def test_a_registry_that_was_not_asked_is_not_fine() -> None:
    told = of_versions("a", ENTRY, None, "no registry was asked: --offline")
    assert (told.state, told.detail) == ("not_assessed", "no registry was asked: --offline")


def test_lost_provenance_is_told() -> None:
    def told(provenance: Provenance) -> list[str]:
        after = newer(purl="pkg:pypi/thing@1.1", provenance=provenance)
        return [it.state for it in of_provenance("a", ENTRY, after)]

    assert told(replace(BUILT, ref="v2", workflow=WORKFLOW.replace("v1", "v2"))) == []
    assert told(replace(BUILT, repository="github.com/c/b")) == ["found"]
    assert told(Provenance("absent")) == ["found"]
    assert told(Provenance("invalid")) == ["found"]
    assert told(Provenance("unavailable")) == ["not_assessed"]


def test_a_package_without_provenance_has_none_to_lose() -> None:
    before = newer(provenance=Provenance("absent"))
    assert list(of_provenance("a", before, newer(provenance=Provenance("absent")))) == []
    other = newer(purl="pkg:pypi/other@1.0", provenance=Provenance("absent"))
    assert list(of_provenance("a", ENTRY, other)) == []
