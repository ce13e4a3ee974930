"""What a `package-lock.json` may say before npm reads it."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bascule.lock.install_npm import check_places, installed_places, sha512s
from bascule.lock.model import LockError, Package
from supply_chain import make_tarball, npm_lock


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return make_tarball(tmp_path)


def lock_of(package: Package, **line: Any) -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(npm_lock([package], hello=line))
    return lock


def test_each_line_is_found_by_its_place(package: Package) -> None:
    places = check_places(lock_of(package), [package])
    assert list(places) == ["node_modules/hello"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"link": True}, "is a link"),
        ({"inBundle": True}, "bundled in nothing"),
        ({"integrity": ""}, "has no SHA-512"),
        ({"integrity": "sha1-AAAA"}, "has no SHA-512"),
        ({"integrity": "sha512-!"}, "has no SHA-512"),
        ({"integrity": "sha512-AAAA"}, "different hashes"),
        ({"resolved": "git+ssh://git@example.com/x.git"}, "from a registry"),
        ({"resolved": "file:../x"}, "from a registry"),
        ({"resolved": "/etc"}, "from a registry"),
    ],
)
def test_a_line_that_pins_nothing_is_refused(
    package: Package, line: dict[str, Any], message: str
) -> None:
    with pytest.raises(LockError, match=message):
        check_places(lock_of(package, **line), [package])


@pytest.mark.parametrize("more", ["sha512-{}", "sha512-{}?x", "sha384-{}", "SHA512-{}"])
def test_a_second_hash_is_refused(package: Package, more: str) -> None:
    """npm would install bytes that have only that one."""
    lock = lock_of(package)
    line = lock["packages"]["node_modules/hello"]
    line["integrity"] += " sha1-AAAA"
    assert list(check_places(lock, [package])) == ["node_modules/hello"]
    evil = base64.b64encode(hashlib.sha512(b"evil").digest()).decode()
    line["integrity"] += " " + more.format(evil)
    with pytest.raises(LockError, match="different hashes"):
        check_places(lock, [package])


@pytest.mark.parametrize(
    "place",
    [
        *("../x", "/etc/x", "x", "node_modules", "node_modules/../x", "node_modules/."),
        *("node_modules/a/b", "node_modules/@a", "node_modules/a/node_modules/../../../b"),
    ],
)
def test_a_place_outside_of_node_modules_is_refused(package: Package, place: str) -> None:
    lock = lock_of(package)
    lock["packages"][place] = lock["packages"]["node_modules/hello"]
    with pytest.raises(LockError, match="not below `node_modules`"):
        check_places(lock, [package])


def test_what_is_for_other_platforms_needs_a_hash_as_well(package: Package) -> None:
    lock = lock_of(package)
    line = dict(lock["packages"]["node_modules/hello"], optional=True, os=["aix"])
    lock["packages"]["node_modules/other"] = line
    assert len(check_places(lock, [package])) == 2
    del line["integrity"]
    with pytest.raises(LockError, match="node_modules/other"):
        check_places(lock, [package])


def test_what_is_bundled_has_the_hash_of_its_bundler(package: Package) -> None:
    place = "node_modules/hello/node_modules/inner"
    lock = lock_of(package)
    lock["packages"][place] = {"version": "1.0.0", "inBundle": True}
    inner = Package("pkg:npm/inner@1.0.0", package.artifact, paths=(place,))
    assert set(check_places(lock, [package, inner])) == {"node_modules/hello", place}
    stranger = Package("pkg:npm/inner@1.0.0", inner.artifact, paths=(f"{place}2",))
    with pytest.raises(LockError, match="lacks what is in"):
        check_places(lock, [package, stranger])


@pytest.mark.parametrize("packages", [None, [], "x"])
def test_a_lock_without_packages_is_refused(packages: object) -> None:
    with pytest.raises(LockError):
        check_places({"packages": packages}, [Package("pkg:npm/x@1", None)])  # type: ignore[arg-type]


def test_hashes_are_read_as_hex() -> None:
    assert sha512s("sha1-AAAA sha512-AAEC") == ["000102"]
    assert sha512s("") == sha512s("sha512-AAE") == []


def test_packages_in_packages_and_in_scopes_are_found(tmp_path: Path) -> None:
    for place in ("a", "@s/b", "a/node_modules/@s/c", ".bin"):
        (tmp_path / "node_modules" / place).mkdir(parents=True)
    assert installed_places(tmp_path) == [
        "node_modules/@s/b",
        "node_modules/a",
        "node_modules/a/node_modules/@s/c",
    ]
