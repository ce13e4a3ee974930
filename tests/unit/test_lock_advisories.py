"""Advisories: which versions they are about, and what cannot be told."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from bascule.lock.advisories import (
    Advisory,
    PackageVersion,
    concerns,
    fixed_in,
    package_version,
    parse_advisory,
)
from bascule.lock.model import LockError
from bascule.lock.versions import NotAVersionError, pep440_key, semver_key

INTRODUCED = {"introduced": "0"}


def advisory(*affected: dict[str, Any], **more: Any) -> Advisory:
    """Make an advisory as a feed has it."""
    document = {"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": affected}
    return parse_advisory(json.dumps({**document, **more}).encode())


def about(
    *events: dict[str, str],
    ecosystem: str = "PyPI",
    name: str = "thing",
    kind: str = "ECOSYSTEM",
    versions: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Make the part of an advisory that is about one package."""
    return {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": kind, "events": events}] if events else [],
        "versions": versions,
    }


def thing(version: str, ecosystem: str = "PyPI") -> PackageVersion:
    """Give our package at a version."""
    return PackageVersion(ecosystem, "thing", version)


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        ((INTRODUCED, {"fixed": "1.2"}), "1.1.9", "affected"),
        ((INTRODUCED, {"fixed": "1.2"}), "1.2", "not_affected"),
        ((INTRODUCED, {"fixed": "1.2"}), "1.2rc1", "affected"),
        ((INTRODUCED, {"fixed": "1.2"}), "1.10", "not_affected"),
        (({"introduced": "1.0"}, {"fixed": "1.2"}), "0.9", "not_affected"),
        ((INTRODUCED, {"last_affected": "1.2"}), "1.2", "affected"),
        ((INTRODUCED, {"last_affected": "1.2"}), "1.2.1", "not_affected"),
        ((INTRODUCED,), "99", "affected"),
        # Two branches, the events in any order.
        (
            ({"fixed": "2.3"}, {"introduced": "2.0"}, {"fixed": "1.2"}, INTRODUCED),
            "2.1",
            "affected",
        ),
        (
            ({"fixed": "2.3"}, {"introduced": "2.0"}, {"fixed": "1.2"}, INTRODUCED),
            "1.5",
            "not_affected",
        ),
        ((INTRODUCED, {"limit": "2.0"}), "2.1", "not_affected"),
        ((INTRODUCED, {"limit": "*"}), "2.1", "affected"),
        # Fixed and introduced again at one version: rather too much than too little.
        ((INTRODUCED, {"fixed": "1.2"}, {"introduced": "1.2"}), "1.2", "affected"),
    ],
)
def test_ranges_are_evaluated_in_the_order_of_their_versions(
    events: tuple[dict[str, str], ...], version: str, expected: str
) -> None:
    assert concerns(advisory(about(*events)), thing(version)) == expected


def test_a_listed_version_is_affected_however_it_is_written() -> None:
    found = advisory(about({"introduced": "5"}, versions=("1.0", "odd one")))
    assert concerns(found, thing("1.0")) == "affected"
    assert concerns(found, thing("1.0.0")) == "affected"
    assert concerns(found, thing("1.1")) == "not_affected"


def test_what_cannot_be_ordered_is_undecided_and_never_fine() -> None:
    assert concerns(advisory(about(INTRODUCED)), thing("not a version")) == "undecided"
    odd = advisory(about(INTRODUCED, {"fixed": "???"}))
    assert concerns(odd, thing("1.0")) == "undecided"
    commits = advisory(about(INTRODUCED, {"fixed": "a1b2c3"}, kind="GIT"))
    assert concerns(commits, thing("1.0")) == "undecided"


def test_another_part_can_decide_what_one_leaves_open() -> None:
    commits = about(INTRODUCED, kind="GIT")
    found = advisory(commits, about(INTRODUCED, {"fixed": "2"}))
    assert concerns(found, thing("1")) == "affected"
    assert concerns(found, thing("3")) == "undecided"


def test_an_advisory_without_ranges_is_about_all_versions() -> None:
    assert concerns(advisory(about()), thing("1")) == "affected"


def test_a_withdrawn_advisory_is_about_nothing() -> None:
    found = advisory(about(INTRODUCED), withdrawn="2026-02-01T00:00:00Z")
    assert concerns(found, thing("1")) == "not_affected"


def test_names_are_compared_as_their_registry_does() -> None:
    for name in ("Thing_One", "thing.one", "THING--ONE"):
        found = advisory(about(INTRODUCED, name=name))
        assert concerns(found, PackageVersion("PyPI", "thing-one", "1")) == "affected"
    found = advisory(about(INTRODUCED, name="Thing", ecosystem="npm", kind="SEMVER"))
    assert concerns(found, thing("1.0.0", "npm")) == "not_affected"


def test_the_same_name_at_another_registry_is_another_package() -> None:
    found = advisory(about(INTRODUCED, ecosystem="npm", kind="SEMVER"))
    assert concerns(found, thing("1.0.0")) == "not_affected"


def test_malware_is_told_by_its_id_or_an_alias() -> None:
    assert advisory(id="MAL-2026-1").is_malware
    assert advisory(aliases=["MAL-2026-1"]).is_malware
    assert not advisory(id="GHSA-MAL-").is_malware


def test_fixed_versions_are_those_of_that_package() -> None:
    found = advisory(
        about(INTRODUCED, {"fixed": "1.2"}),
        about(INTRODUCED, {"fixed": "9"}, name="other"),
    )
    assert fixed_in(found, thing("1")) == ("1.2",)


@pytest.mark.parametrize(
    ("purl", "expected"),
    [
        ("pkg:pypi/thing@1.0", PackageVersion("PyPI", "thing", "1.0")),
        ("pkg:npm/%40scope/name@1.2.3", PackageVersion("npm", "@scope/name", "1.2.3")),
        ("pkg:npm/name@1.2.3?x=y#z", PackageVersion("npm", "name", "1.2.3")),
        ("pkg:generic/thing@1", None),
        ("pkg:pypi/thing", None),
        ("thing", None),
    ],
)
def test_package_urls(purl: str, expected: PackageVersion | None) -> None:
    assert package_version(purl) == expected


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"id": 1}', b"[" * 5000, b"\xff"])
def test_what_is_no_advisory_is_refused(text: bytes) -> None:
    with pytest.raises(LockError):
        parse_advisory(text)


def test_the_order_of_npm_is_that_of_its_specification() -> None:
    # Semantic Versioning 2.0.0, §11.4.
    ordered = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11",
        "1.0.0-rc.1 1.0.0 1.0.1 1.2.0 1.10.0 2.0.0",
    )
    versions = " ".join(ordered).split()
    keys = [semver_key(it) for it in versions]
    assert all(before < after for before, after in itertools.pairwise(keys))
    assert semver_key("v1.0.0+build") == semver_key("1.0.0")


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "01.0.0", "1.0.0-", "x" * 300, "1.0.0-é"]
)
def test_what_npm_does_not_order_is_refused(version: str) -> None:
    with pytest.raises(NotAVersionError):
        semver_key(version)


@pytest.mark.parametrize("version", ["", "one", "1..0", "1" * 300])
def test_what_pypi_does_not_order_is_refused(version: str) -> None:
    with pytest.raises(NotAVersionError):
        pep440_key(version)
