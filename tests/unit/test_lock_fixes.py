"""Which versions fix an advisory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bascule.lock.advisories import Advisory, parse_advisory
from bascule.lock.fixes import fixes_from


def advisory(**changes: Any) -> Advisory:
    """Give one about `app` before 1.2, with some members changed."""
    events = [{"introduced": "0"}, {"fixed": "1.2"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "App"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    whole = {"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected]}
    return parse_advisory(json.dumps({**whole, **changes}).encode())


@pytest.mark.parametrize(
    ("version", "affected", "fix"),
    [
        ("1.1", True, False),
        ("1.2", False, True),
        ("1.2.0", False, True),
        ("1.3", False, False),
    ],
)
def test_the_version_that_an_advisory_names_is_its_fix(
    version: str, affected: bool, fix: bool
) -> None:
    fixes = fixes_from(lambda _: [advisory()])
    purl = f"pkg:pypi/app@{version}"
    assert (fixes.is_affected(purl), fixes.is_fix(purl)) == (affected, fix)


@pytest.mark.parametrize(
    "changes", [{"withdrawn": "2026-01-02T00:00:00Z"}, {"id": "MAL-2026-1"}]
)
def test_neither_what_was_withdrawn_nor_malware_has_a_fix(changes: dict[str, str]) -> None:
    fixes = fixes_from(lambda _: [advisory(**changes)])
    assert not fixes.is_fix("pkg:pypi/app@1.2")


def test_a_fix_that_another_advisory_is_about_is_none() -> None:
    events = [{"introduced": "1.2"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "app"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    fixes = fixes_from(lambda _: [advisory(), advisory(id="GHSA-2", affected=[affected])])
    assert not fixes.is_fix("pkg:pypi/app@1.2")


def test_what_is_no_package_is_neither() -> None:
    fixes = fixes_from(lambda _: [advisory()])
    assert not fixes.is_affected("pkg:oci/app@1.1")
    assert not fixes.is_fix("pkg:oci/app@1.2")
