"""Packages of npm: what is chosen, what is refused, what is told. By a real `npm`."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bascule.clock import UnixTime
from bascule.lock.cooldown import DAY_SECONDS, NO_COOLDOWN, Cooldown, Fixes, Rule, rfc3339
from bascule.lock.launcher import parse_command
from bascule.lock.model import LockError
from bascule.lock.npm import Npm
from bascule.lock.npm_cache import NOTHING, Packument
from bascule.lock.npm_lock import Machine, NpmLock
from bascule.lock.resolve import Resolution, resolve
from bascule.lock.resolver import Resolved
from registry import LONG_AGO, Registry, registry
from resolutions import FILESYSTEM, resolved

NOW = UnixTime(1_800_000_000)
LINUX = Machine("linux", "x64", "glibc")
SHA512 = "sha512-" + "A" * 85 + "g=="


def days_ago(days: float) -> UnixTime:
    return UnixTime(int(NOW - days * DAY_SECONDS))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as served:
        needs = {"dependencies": {"dep": "^1.0.0"}}
        served.add_npm("app", "1.0.0", published=days_ago(30), **needs)
        served.add_npm("app", "1.1.0", published=days_ago(8), **needs)
        served.add_npm("app", "1.2.0", published=days_ago(6), **needs)
        served.add_npm("dep", "1.0.0", published=days_ago(30))
        served.add_npm("dep", "1.1.0", published=days_ago(13))
        served.add_npm("undated", "1.0.0", published=None)
        url = f"{served.url}/npm/dep/-/dep-1.0.0.tgz"
        served.add_npm("needs-url", "1.0.0", dependencies={"dep": url})
        served.add_npm("needs-git", "1.0.0", dependencies={"dep": "github:acme/dep"})
        add_menagerie(served)
        yield served


def add_menagerie(served: Registry) -> None:
    """Publish a package that needs one of each odd kind."""
    served.add_npm(
        "@acme/menagerie",
        "1.0.0",
        license="MIT",
        dependencies={"alias": "npm:scripted@1", "bundler": "1", "old": "1", "twice": "2"},
        optionalDependencies={"only-windows": "1", "only-linux": "1"},
    )
    scripts = {"postinstall": "node x", "preinstall": "node y", "test": "z"}
    served.add_npm("scripted", "1.0.0", scripts=scripts, dependencies={"twice": "1"})
    served.add_npm("old", "1.0.0", deprecated="use \x1b[2Jnew", dependencies={"twice": "1"})
    served.add_npm("twice", "1.0.0", latest=False)
    served.add_npm("twice", "2.0.0")
    served.add_npm("only-linux", "1.0.0", os=["linux"])
    served.add_npm("only-windows", "1.0.0", os=["win32"], dependencies={"for-windows": "1"})
    served.add_npm("for-windows", "1.0.0")
    inner = json.dumps({"name": "inner", "version": "1.0.5"})
    served.add_npm(
        "bundler",
        "1.0.0",
        dependencies={"inner": "1"},
        bundleDependencies=["inner"],
        files={"node_modules/inner/package.json": inner},
    )


MENAGERIE = {
    *("%40acme/menagerie@1.0.0", "bundler@1.0.0", "inner@1.0.5", "old@1.0.0"),
    *("only-linux@1.0.0", "scripted@1.0.0", "twice@1.0.0", "twice@2.0.0"),
}
"""What an installation on Linux has of it."""


def found(
    index: Registry,
    name: str,
    version: str = "latest",
    *,
    cooldown: Cooldown = NO_COOLDOWN,
    fixes: Fixes | None = None,
) -> Resolved:
    npm = Npm(index.environment(), lambda _: None, LINUX)
    return npm.resolve([(name, version)], Rule(cooldown, NOW, fixes))


def versions(found: Resolved) -> set[str]:
    return {it.purl.removeprefix("pkg:npm/") for it in found.packages}


def names(locked: Resolution) -> set[str]:
    return {it.purl.removeprefix("pkg:npm/") for it in locked.packages}


def lock(index: Registry, command: str, **environment: str) -> Resolution:
    return resolve(
        parse_command(command.split()),
        folder=Path(),
        now=NOW,
        cooldown=Cooldown(),
        environment=index.environment(**environment),
    )


def test_the_newest_version_that_is_old_enough_is_taken(index: Registry) -> None:
    """Seven days for what was asked for, fourteen for what that needs."""
    cooled = found(index, "app", cooldown=Cooldown())
    assert versions(cooled) == {"app@1.1.0", "dep@1.0.0"}
    assert json.loads(cooled.native)["packages"][""] == {"dependencies": {"app": "1.1.0"}}


def test_a_version_that_is_too_young_is_refused_with_the_way_out(index: Registry) -> None:
    with pytest.raises(LockError) as caught:
        found(index, "app", "1.2.0", cooldown=Cooldown())
    assert "`app@1.2.0` was published 6 days ago" in str(caught.value)
    assert "`--cooldown`" in str(caught.value)


def test_a_version_that_an_advisory_names_as_its_fix_may_be_young(index: Registry) -> None:
    fixes = Fixes(lambda _: False, lambda purl: purl == "pkg:npm/app@1.2.0")
    pinned = found(index, "app", "1.2.0", cooldown=Cooldown(), fixes=fixes)
    assert versions(pinned) == {"app@1.2.0", "dep@1.0.0"}


def test_a_young_version_replaces_one_that_has_an_advisory(index: Registry) -> None:
    fixes = Fixes(lambda purl: purl == "pkg:npm/dep@1.0.0", lambda _: False)
    fixed = found(index, "app", cooldown=Cooldown(), fixes=fixes)
    assert versions(fixed) == {"app@1.1.0", "dep@1.1.0"}


def test_an_age_that_the_registry_does_not_say_is_not_assessed(index: Registry) -> None:
    assert lock(index, "npx -y undated").warnings == (
        "not assessed: the registry does not say when `undated@1.0.0` was published",
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("needs-url", "`dep` comes from a git repository, a URL or a folder"),
        ("needs-git", "`npm` failed: code EALLOWGIT"),
        ("no-such-package", "`npm` found no packages"),
    ],
)
def test_what_cannot_be_locked_is_refused(index: Registry, name: str, told: str) -> None:
    with pytest.raises(LockError) as caught:
        found(index, name)
    assert told in str(caught.value)


def test_each_kind_of_package_is_locked(index: Registry) -> None:
    locked = lock(index, "npx -y @acme/menagerie")
    by_name = {it.purl.removeprefix("pkg:npm/"): it for it in locked.packages}
    assert names(locked) == MENAGERIE
    root = by_name["%40acme/menagerie@1.0.0"]
    assert (locked.root, root.parents, root.license) == (root.purl, (), "MIT")
    assert root.artifact.filename == "menagerie-1.0.0.tgz"
    assert root.published_at == rfc3339(LONG_AGO)
    archive = index.answers["/npm/old/-/old-1.0.0.tgz"][1]
    assert by_name["old@1.0.0"].artifact.sha512 == hashlib.sha512(archive).hexdigest()
    assert by_name["scripted@1.0.0"].paths == ("node_modules/alias",)
    assert by_name["scripted@1.0.0"].install_scripts == ("preinstall", "postinstall")
    assert by_name["inner@1.0.5"].artifact == by_name["bundler@1.0.0"].artifact
    assert by_name["twice@1.0.0"].parents == ("pkg:npm/old@1.0.0", "pkg:npm/scripted@1.0.0")
    assert by_name["twice@2.0.0"].parents == (root.purl,)
    assert locked.warnings == (
        "`old@1.0.0` is deprecated: use \\u001b[2Jnew",
        "`scripted@1.0.0` has install scripts, and they are not run",
    )


def test_the_registry_of_a_scope_is_named_by_the_scope(index: Registry) -> None:
    npm = Npm(
        index.environment(**{"npm_config_@acme:registry": f"{index.url}/own/"}),
        lambda _: None,
    )
    assert npm.registry_of("@acme/x") == f"{index.url}/own/"
    assert npm.registry_of("x") == f"{index.url}/npm/"
    assert (npm.scope_index("@acme/x"), npm.scope_index("@other/x")) == ("@acme", "")


def test_settings_of_the_operator_change_no_lock(index: Registry) -> None:
    settings = {
        "npm_config_dry_run": "true",
        "npm_config_save": "false",
        "npm_config_package_lock": "false",
        "npm_config_workspaces": "true",
        "npm_config_omit": "optional",
        "npm_config_before": "2001-01-01",
        "npm_config_lockfile_version": "1",
    }
    locked = lock(index, "npx -y @acme/menagerie", **settings)
    assert names(locked) == MENAGERIE
    assert json.loads(locked.native_lock or "")["lockfileVersion"] == 3


def test_settings_of_strangers_are_not_found(index: Registry, tmp_path: Path) -> None:
    """Whoever may write where temporary files are would choose the registry."""
    (tmp_path / ".npmrc").write_text("registry=http://127.0.0.1:9/\n@acme:registry=x\n")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "node_modules").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / ".npmrc").write_text(f"registry={index.url}/npm/\n")
    environment = index.environment(TMPDIR=str(tmp_path), HOME=str(home))
    del environment["npm_config_registry"]
    npm = Npm(environment, lambda _: None)
    assert npm.registry_of("@acme/x") == f"{index.url}/npm/"
    resolved = npm.resolve([("dep", "latest")], Rule(NO_COOLDOWN, NOW))
    assert versions(resolved) == {"dep@1.1.0"}


def test_a_registry_that_hangs_is_given_up_once(tmp_path: Path) -> None:
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        environment["npm_config_registry"] = registry
        npm = Npm(environment, heard.append, LINUX, seconds=4)
        with pytest.raises(LockError, match="did not end within 4 seconds"):
            npm.resolve([("dep", "latest")], Rule(Cooldown(), NOW))
    assert len(heard) == 1


def test_a_machine_without_npm_says_so(index: Registry) -> None:
    with pytest.raises(LockError, match=r"install Node\.js"):
        lock(index, "npx -y app", PATH="/nowhere")


def test_a_real_server_is_locked_with_all_that_it_needs(
    filesystem_resolution: Resolution,
) -> None:
    packages = filesystem_resolution.packages
    roots = [it.purl for it in packages if not it.parents]
    assert roots == [filesystem_resolution.root]
    assert len(packages) > 80
    for package in packages:
        assert len(package.artifact.sha512) == 128
        assert package.published_at.endswith("Z")
        assert package.paths


def test_no_host_stands_in_a_lock(filesystem_resolution: Resolution) -> None:
    native = filesystem_resolution.native_lock
    assert native is not None
    assert "resolved" not in native
    assert "registry" not in native


def test_two_resolutions_give_the_same(filesystem_resolution: Resolution) -> None:
    assert resolved(FILESYSTEM) == filesystem_resolution


def lock_text(packages: dict[str, dict[str, Any]], **root: dict[str, str]) -> str:
    """Give the text of a lock: folders of the tree, and what the root needs."""
    return json.dumps({"lockfileVersion": 3, "packages": {"": root, **packages}})


A, B, INNER = "node_modules/a", "node_modules/b", "node_modules/a/node_modules/b"
GOOD = {"version": "1.0.0", "integrity": SHA512}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not understood"),
        ("{}", "not understood"),
        ('{"lockfileVersion": 2, "packages": {"": {}}}', "another version"),
        (lock_text({A: {"integrity": SHA512}}), "no version of `a`"),
        (lock_text({"a": GOOD}), "no version"),
        (lock_text({"node_modules/../a": GOOD}), "no version"),
        (lock_text({"node_modules/a/b": GOOD}), "no version"),
        (lock_text({"node_modules/@a/../b": GOOD}), "no version"),
        (lock_text({A: {**GOOD, "version": "../1"}}), "no version"),
        (lock_text({A: {**GOOD, "name": "../b"}}), "not named as"),
        (lock_text({A: {**GOOD, "link": True}}), "from a git repository"),
        (lock_text({A: {**GOOD, "resolved": "git+ssh://x"}}), "from a git repository"),
        (lock_text({A: {"version": "1.0.0"}}), "no SHA-512"),
        (lock_text({A: {**GOOD, "integrity": "sha1-AAAA"}}), "no SHA-512"),
        (lock_text({A: {**GOOD, "integrity": "sha512-AAAA"}}), "no SHA-512"),
        (lock_text({A: {**GOOD, "integrity": "sha512-!"}}), "no SHA-512"),
        (lock_text({A: {"version": "1.0.0", "inBundle": True}}), "bundled in nothing"),
    ],
)
def test_a_lock_that_leaves_something_open_is_refused(text: str, told: str) -> None:
    with pytest.raises(LockError) as caught:
        NpmLock(text)
    assert told in str(caught.value)


def test_one_version_with_two_hashes_is_refused() -> None:
    other = {"version": "1.0.0", "integrity": "sha512-" + "B" * 85 + "g=="}
    packages = {A: {**GOOD, "dependencies": {"b": "1"}}, INNER: other, B: GOOD}
    lock = NpmLock(lock_text(packages, dependencies={"a": "1", "b": "1"}))
    with pytest.raises(LockError, match=r"two hashes of `pkg:npm/b@1\.0\.0`"):
        lock.packages(LINUX, lambda _: NOTHING)


@pytest.mark.parametrize(
    ("declared", "runs"),
    [
        ({}, True),
        ({"os": ["linux"]}, True),
        ({"os": ["darwin", "win32"]}, False),
        ({"os": ["!win32"]}, True),
        ({"os": ["!linux"]}, False),
        ({"cpu": ["arm64"]}, False),
        ({"libc": ["musl"]}, False),
        ({"libc": ["glibc"], "os": ["linux"], "cpu": ["x64"]}, True),
    ],
)
def test_an_optional_package_is_there_where_it_says_that_it_runs(
    declared: dict[str, list[str]], runs: bool
) -> None:
    packages = {A: {**GOOD, "optional": True, **declared}}
    lock = NpmLock(lock_text(packages, optionalDependencies={"a": "1"}))
    assert bool(lock.packages(LINUX, lambda _: NOTHING)) == runs


def test_a_script_that_is_not_named_is_the_one_that_npm_would_make_up() -> None:
    packages = {A: {**GOOD, "hasInstallScript": True}}
    lock = NpmLock(lock_text(packages, dependencies={"a": "1"}))
    (package,) = lock.packages(LINUX, lambda _: Packument())
    assert package.install_scripts == ("install",)


@pytest.mark.parametrize(
    ("dists", "status"),
    [
        ({"1.0.0": {}}, "unavailable"),
        ({"1.0.0": {}, "2.0.0": {"signatures": [{"keyid": "x"}]}}, "absent"),
        ({"1.0.0": {}, "2.0.0": {"attestations": {"url": "x"}}}, "absent"),
        ({"1.0.0": {"attestations": {"url": "x"}}}, "unsupported"),
        ({"2.0.0": {"signatures": [{"keyid": "x"}]}}, "unavailable"),
    ],
)
def test_a_registry_that_leaves_attestations_out_is_told_from_one_that_has_none(
    dists: dict[str, Any], status: str
) -> None:
    versions = {version: {"dist": dist} for version, dist in dists.items()}
    packument = msgspec.convert({"versions": versions}, Packument)
    assert packument.provenance("1.0.0").status == status
