"""Which packages count as reviewed, and every way in which they do not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from audits import (
    BUILT,
    CRITERIA,
    NOW,
    WORKFLOW,
    audit,
    audits,
    delta,
    entry,
    exemption,
    npm,
    others,
    pypi,
    review,
    sha256,
    sha512,
    trusted,
)
from bascule.clock import UnixTime
from bascule.config.table import Table
from bascule.lock import audits_file
from bascule.lock.audits import Audits
from bascule.lock.audits_file import MAX_BYTES, AuditsError, parse_audits
from bascule.lock.model import Artifact, Package
from bascule.lock.resolve import Resolution
from bascule.lock.reviews import ReviewCount, assess_audits, count_reviews

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "audits.md").read_text()
LEFT = npm("left", "1.2.3")
ANYIO = pypi("anyio", "4.0", BUILT)


def problem(text: str) -> str:
    with pytest.raises(AuditsError) as caught:
        parse_audits((CRITERIA + text).encode(), source="audits.toml")
    return str(caught.value)


def test_a_package_whose_bytes_somebody_read_is_audited() -> None:
    found = review(LEFT, audit("left", "1.2.3"))
    assert (found.state, found.by) == ("audited", ("alice",))


def test_an_audit_is_of_bytes_and_not_of_a_name() -> None:
    other = npm("left", "1.2.3", "something else")
    assert review(other, audit("left", "1.2.3")).state == "unreviewed"


def test_the_same_bytes_under_another_name_or_version_are_not_audited() -> None:
    text = audit("left", "1.2.3")
    for other in (npm("right", "1.2.3"), npm("left", "1.2.4")):
        assert review(replace(other, artifact=LEFT.artifact), text).state == "unreviewed"


def test_only_the_digest_that_an_installer_checks_says_what_is_installed() -> None:
    evil = Artifact("x.whl", sha256=sha256("evil"), sha512=LEFT.artifact.sha512)
    package = Package("pkg:pypi/left@1.2.3", evil)
    text = audit("left", "1.2.3").replace("pkg:npm", "pkg:pypi")
    assert "audits[0].sha256: is missing" in problem(text)
    text = text.replace("sha512", "sha256").replace(sha512("left 1.2.3"), sha256("good"))
    assert review(package, text).state == "unreviewed"


def test_a_package_without_a_digest_is_unreviewed() -> None:
    package = Package("pkg:npm/left@1.2.3", Artifact("x.tgz"))
    assert review(package, audit("left", "1.2.3")).state == "unreviewed"


def test_a_name_may_be_written_in_more_than_one_way() -> None:
    scoped = npm("@acme/left", "1.0")
    for written in ("@acme/left", "%40acme/left"):
        text = audit("@acme/left", "1.0").replace("npm/@acme/left", f"npm/{written}")
        assert review(scoped, text).state == "audited"
    assert review(pypi("a-b", "1"), exemption("pkg:pypi/A_b", "1")).state == "exempt"


def test_a_bundle_can_be_audited() -> None:
    package = Package("pkg:generic/notes@1", Artifact("notes.mcpb", sha256=sha256("n")))
    text = audit("notes", "1").replace("pkg:npm", "pkg:generic")
    text = text.replace("sha512", "sha256").replace(sha512("notes 1"), sha256("n"))
    assert review(package, text).state == "audited"


def test_deltas_lead_back_to_an_audit_of_the_whole() -> None:
    text = (
        audit("left", "1.2.1")
        + delta("left", "1.2.1", "1.2.2")
        + delta("left", "1.2.2", "1.2.3", who="carol")
    )
    found = review(LEFT, text)
    assert (found.state, found.by) == ("audited", ("alice", "bob", "carol"))


def test_the_shortest_way_is_told() -> None:
    text = (
        audit("left", "1.2.1")
        + delta("left", "1.2.1", "1.2.2")
        + delta("left", "1.2.2", "1.2.3")
        + delta("left", "1.2.1", "1.2.3", who="carol")
    )
    assert review(LEFT, text).by == ("alice", "carol")


def test_deltas_without_a_beginning_are_nothing() -> None:
    assert review(LEFT, delta("left", "1.2.2", "1.2.3")).state == "unreviewed"


def test_circles_of_deltas_end() -> None:
    circle = delta("left", "1.2.3", "1.2.2") + delta("left", "1.2.2", "1.2.3")
    assert review(LEFT, circle).state == "unreviewed"
    assert review(LEFT, delta("left", "1.2.3", "1.2.3")).state == "unreviewed"
    assert review(LEFT, circle + audit("left", "1.2.2")).by == ("alice", "bob")


def test_a_delta_starts_from_the_bytes_that_were_audited() -> None:
    text = audit("left", "1.2.2") + delta("left", "1.2.2", "1.2.3", start="other bytes")
    assert review(LEFT, text).state == "unreviewed"


def test_a_long_chain_costs_its_length() -> None:
    length = 5000
    steps = [delta("left", f"1.{it}", f"1.{it + 1}") for it in range(length)]
    text = audit("left", "1.0") + "".join(steps)
    assert len(review(npm("left", f"1.{length}"), text).by) == length + 1


def test_a_criterion_implies_others_and_not_the_reverse() -> None:
    deploy = audit("left", "1.2.3", criteria="safe-to-deploy")
    assert review(LEFT, deploy).state == "audited"
    assert review(LEFT, deploy, criterion="safe-to-deploy").state == "audited"
    run = audit("left", "1.2.3")
    assert review(LEFT, run, criterion="safe-to-deploy").state == "unreviewed"


def test_every_step_of_a_chain_must_meet_the_criterion() -> None:
    text = audit("left", "1.2.2", criteria="safe-to-deploy")
    text += delta("left", "1.2.2", "1.2.3")
    assert review(LEFT, text).state == "audited"
    assert review(LEFT, text, criterion="safe-to-deploy").state == "unreviewed"


def test_criteria_that_imply_each_other_end() -> None:
    text = '[criteria.a]\ndescription = "a"\nimplies = ["b"]\n'
    text += '[criteria.b]\ndescription = "b"\nimplies = ["a"]\n'
    assert audits(text).implied["a"] == {"a", "b"}


def test_a_publisher_is_trusted_by_its_verified_identity() -> None:
    found = review(ANYIO, trusted())
    assert (found.state, found.by) == ("trusted", ("github.com/acme/anyio",))


@pytest.mark.parametrize("status", ["absent", "unavailable", "invalid", "unsupported"])
def test_a_publisher_that_was_not_verified_is_not_trusted(status: str) -> None:
    built = msgspec.convert({**msgspec.to_builtins(BUILT), "status": status}, type(BUILT))
    package = replace(ANYIO, provenance=built)
    assert review(package, trusted()).state == "unreviewed"


@pytest.mark.parametrize("field", ["issuer", "repository", "workflow"])
def test_another_publisher_is_not_trusted(field: str) -> None:
    package = replace(ANYIO, provenance=replace(BUILT, **{field: "another"}))
    assert review(package, trusted()).state == "unreviewed"


@pytest.mark.parametrize(
    "pattern",
    ["pkg:pypi/any", "pkg:npm/*", "pkg:pypi/*.anyio", "pkg:pypi/x*", "pkg:generic/*"],
)
def test_a_publisher_is_trusted_for_the_packages_that_are_named(pattern: str) -> None:
    assert review(ANYIO, trusted(pattern)).state == "unreviewed"
    assert review(ANYIO, trusted("pkg:pypi/any*")).state == "trusted"


@pytest.mark.parametrize(
    ("start", "end", "state"),
    [
        ("2026-09-01", "2027-01-01", "trusted"),
        ("2026-09-02", "2027-01-01", "unreviewed"),  # published before
        ("2026-01-01", "2026-09-01", "unreviewed"),  # published on the last day
        ("2026-01-01", "2026-09-21", "unreviewed"),  # over since this morning
        ("2026-01-01", "2026-09-22", "trusted"),
    ],
)
def test_trust_has_a_beginning_and_an_end(start: str, end: str, state: str) -> None:
    assert review(ANYIO, trusted(start=start, end=end)).state == state


@pytest.mark.parametrize("published", ["", "yesterday", "9999"])
def test_what_was_published_nobody_knows_when_is_not_trusted(published: str) -> None:
    package = replace(ANYIO, published_at=published)
    assert review(package, trusted()).state == "unreviewed"


def test_an_exemption_ends() -> None:
    text = exemption("pkg:npm/left", "1.2.3", until="2026-09-22")
    found = review(LEFT, text)
    assert (found.state, found.by) == ("exempt", ("was here before",))
    assert review(LEFT, text, now=UnixTime(NOW + 86_400)).state == "unreviewed"


@pytest.mark.parametrize(
    "other", [npm("left", "1.2.4"), npm("right", "1.2.3"), pypi("left", "1.2.3")]
)
def test_an_exemption_is_of_one_version(other: Package) -> None:
    assert review(other, exemption("pkg:npm/left", "1.2.3")).state == "unreviewed"


MAPPED = 'criteria = { ok = ["safe-to-run"] }\npeople = ["dave"]'
THEIRS = '[criteria.ok]\ndescription = "fine"\n' + audit(
    "left", "1.2.3", criteria="ok", who="dave"
)


def test_audits_of_others_count_as_ours_say() -> None:
    text = others("friends", THEIRS, MAPPED)
    found = review(LEFT, text, files={"friends": THEIRS})
    assert (found.state, found.by) == ("audited", ("dave (friends)",))


@pytest.mark.parametrize(
    "settings",
    [
        "",
        'people = ["dave"]',
        'people = ["*"]',
        'criteria = { ok = ["safe-to-run"] }',
        'criteria = { ok = ["safe-to-run"] }\npeople = ["erin", "dave "]',
        'criteria = { other = ["safe-to-run"] }\npeople = ["dave"]',
        'criteria = { ok = [] }\npeople = ["dave"]',
    ],
)
def test_audits_of_others_do_not_count_unless_ours_say_so(settings: str) -> None:
    text = others("friends", THEIRS, settings)
    assert review(LEFT, text, files={"friends": THEIRS}).state == "unreviewed"


def test_everybodys_audits_count_where_we_say_so() -> None:
    text = others("friends", THEIRS, MAPPED.replace("dave", "*"))
    assert review(LEFT, text, files={"friends": THEIRS}).state == "audited"


def test_what_their_criteria_imply_is_theirs_to_say() -> None:
    theirs = THEIRS + '[criteria.great]\ndescription = "!"\nimplies = ["ok"]\n'
    theirs = theirs.replace('criteria = ["ok"]', 'criteria = ["great"]')
    text = others("friends", theirs, MAPPED)
    assert review(LEFT, text, files={"friends": theirs}).state == "audited"


def test_a_chain_may_lead_over_ours_and_theirs() -> None:
    text = delta("left", "1.2.3", "1.2.4") + others("friends", THEIRS, MAPPED)
    found = review(npm("left", "1.2.4"), text, files={"friends": THEIRS})
    assert found.by == ("dave (friends)", "bob")


def test_whom_others_trust_and_exempt_and_import_is_no_matter_of_ours() -> None:
    further = CRITERIA + audit("left", "1.2.3", who="dave")
    theirs = CRITERIA + trusted() + exemption("pkg:npm/left", "1.2.3")
    mapping = 'criteria = { safe-to-run = ["safe-to-run"] }\npeople = ["*"]'
    theirs += others("further", further, mapping)
    text = others("friends", theirs, mapping)
    files = {"friends": theirs, "further": further}
    assert review(LEFT, text, files=files).state == "unreviewed"
    assert review(ANYIO, text, files=files).state == "unreviewed"


@pytest.mark.parametrize("files", [{}, {"friends": THEIRS + "\n"}])
def test_a_file_that_is_not_what_was_imported_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(
        AuditsError, match=r"`audits/friends.toml` is not what was imported"
    ):
        audits(others("friends", THEIRS, MAPPED), files)


def test_a_file_of_others_that_is_none_is_refused_with_its_name() -> None:
    theirs = THEIRS + "[more]\n"
    with pytest.raises(
        AuditsError, match=r"`audits/friends.toml`.*\n  more: is no setting"
    ):
        audits(others("friends", theirs, MAPPED), {"friends": theirs})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "criteria.safe-to-deploy.x: is no setting"),
        ("[more]", "more: is no setting"),
        (audit("left", "1") + "sha1 = '1'", "audits[0].sha1: is no setting"),
        (audit("left", "1").replace("who", "by"), "audits[0].who: is missing"),
        (audit("left", "1").replace("version", "delta"), "audits[0].delta: must be"),
        (audit("left", "1") + "delta = '0 -> 1'", "audits[0]: must have either"),
        (audit("left", "1").replace('version = "1"', ""), "audits[0]: must have either"),
        (audit("left", "1").replace("npm/", "cargo/"), "audits[0].package: `pkg:cargo"),
        (audit("left@1", "1"), "audits[0].package: `pkg:npm/left@1` is no package URL"),
        (audit("left", "1", criteria="x"), "audits[0].criteria[0]: `x` is not in"),
        (audit("left", "1").replace(sha512("left 1"), "00"), "128 lower-case digits"),
        (audit("left", "1") + f"sha256 = '{sha256('')}'", "sha256: does not belong here"),
        (
            audit("left", "1") + f"from_sha512 = '{sha512('')}'",
            "audits[0].from_sha512: does not belong here: only `sha512` does",
        ),
        (delta("left", "1", "2").replace("from_", "#"), "from_sha512: is missing"),
        (delta("left", "", "2"), "audits[0].delta: must be"),
        (trusted(end="2026-01-01"), "trusted[0].end: must be later than `start`"),
        (trusted().replace("end = 2027-01-01", ""), "trusted[0].end: is missing"),
        (trusted().replace(WORKFLOW, ""), "trusted[0].workflow: expected"),
        (trusted("*"), "trusted[0].packages[0]: `*` is no package URL"),
        (exemption("pkg:npm/a", "1").replace("until", "#"), "exemptions[0].until: is miss"),
        (exemption("pkg:npm/a", "1", until="'soon'"), "exemptions[0].until: "),
        (exemption("a", "1"), "exemptions[0].package: `a` is no package URL"),
        (
            others("x", "", "criteria = { a = ['b'] }"),
            "imports.x.criteria.a[0]: `b` is not in `criteria`",
        ),
        (
            others("x", "", "").replace("audits/x.toml", "audits/../../x.toml"),
            "imports.x.file: must be `audits/NAME.toml`",
        ),
        ('[criteria.c]\ndescription = "c"\nimplies = ["d"]', "criteria.c.implies[0]: `d`"),
        ("[[[", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    assert said in problem(text)


def test_a_file_that_is_too_large_or_no_text_is_refused() -> None:
    for content in (b" " * (MAX_BYTES + 1), b"\xff"):
        with pytest.raises(AuditsError):
            parse_audits(content, source="audits.toml")


def test_many_problems_are_told_in_short() -> None:
    text = "".join(f"[{'x' * 5000}{it}]\n" for it in range(100))
    assert len(problem(text)) < 20 * 300


def test_criteria_are_bounded() -> None:
    """Closures of many that imply each other would fill the memory."""
    chain = "".join(
        f'[criteria.c{it}]\ndescription = "x"\nimplies = ["c{it + 1}"]\n'
        for it in range(99)
    )
    assert "criteria: are more than 100" in problem(chain)


def test_without_a_file_nothing_is_reviewed() -> None:
    found = assess_audits(entry(LEFT, ANYIO), Audits(), now=NOW)
    assert found.unreviewed("safe-to-run") == (LEFT.purl, ANYIO.purl)
    assert count_reviews(found, [LEFT]) == [
        ReviewCount(None, 2, 0, 0, 0, [LEFT.purl, ANYIO.purl], [ANYIO.purl])
    ]


def test_an_entry_without_packages_has_nothing_to_review() -> None:
    found = assess_audits(entry(), audits(""), now=NOW)
    assert count_reviews(found, []) == []
    assert found.unreviewed("safe-to-run") == ()


def test_each_criterion_has_its_count() -> None:
    right = npm("right", "1")
    text = audit("left", "1.2.3", criteria="safe-to-deploy") + trusted()
    text += exemption("pkg:npm/right", "1")
    found = assess_audits(entry(LEFT, ANYIO, right), audits(text), now=NOW)
    assert count_reviews(found, [LEFT, ANYIO, right]) == [
        ReviewCount("safe-to-run", 3, 1, 1, 1, [], []),
        ReviewCount("safe-to-deploy", 3, 1, 0, 0, [ANYIO.purl, right.purl], []),
    ]


def test_the_same_version_with_other_bytes_has_changed() -> None:
    found = assess_audits(entry(LEFT), audits(""), now=NOW)
    (count, _) = count_reviews(found, [npm("left", "1.2.3", "other")])
    assert count.changed == [LEFT.purl]


def test_a_real_tree_is_reviewed_package_by_package(
    filesystem_resolution: Resolution,
) -> None:
    first, *rest = filesystem_resolution.packages
    name, _, version = first.purl.removeprefix("pkg:npm/").rpartition("@")
    text = audit(name, version).replace(sha512(f"{name} {version}"), first.artifact.sha512)
    found = assess_audits(entry(first, *rest), audits(text), now=NOW)
    assert found.unreviewed("safe-to-run") == tuple(
        it.purl for it in rest if it.purl != first.purl
    )
    assert len(rest) > 80


TABLES = [
    it
    for it in vars(audits_file).values()
    if isinstance(it, type) and issubclass(it, Table) and it is not Table
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_the_page_has_every_field(table: type[Table]) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(table)]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
