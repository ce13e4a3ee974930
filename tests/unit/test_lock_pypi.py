"""Packages of PyPI: what is chosen, what is refused, what is told. By a real `uv`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.clock import UnixTime
from bascule.lock.cooldown import DAY_SECONDS, NO_COOLDOWN, Cooldown, Fixes, Rule, rfc3339
from bascule.lock.launcher import parse_command
from bascule.lock.model import Artifact, LockError, Package
from bascule.lock.pypi import PUBLIC_INDEX, Uv
from bascule.lock.resolve import Resolution, refuse_strangers, resolve
from bascule.lock.resolver import Resolved
from registry import Registry, registry
from resolutions import TIME, resolved

NOW = UnixTime(1_800_000_000)


def days_ago(days: float) -> UnixTime:
    return UnixTime(int(NOW - days * DAY_SECONDS))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Give a registry in which each package is there for one test."""
    with registry(tmp_path_factory.mktemp("registry")) as served:
        served.add_wheel("app", "1.0", requires=["dep"], published=days_ago(30))
        served.add_wheel("app", "1.1", requires=["dep"], published=days_ago(8))
        served.add_wheel("app", "1.2", requires=["dep"], published=days_ago(6))
        served.add_wheel("dep", "1.0", published=days_ago(30))
        served.add_wheel("dep", "1.1", published=days_ago(13))
        served.add_wheel("undated", "1.0", requires=["dep"], published=None)
        served.add_wheel("withdrawn", "1.0", yanked="leaks keys")
        served.add_sdist("source-only", "1.0")
        served.add_wheel("windows-only", "1.0", tag="cp311-cp311-win_amd64")
        served.add_wheel(
            "with-marker", "1.0", requires=["windows-only; sys_platform=='win32'"]
        )
        served.add_wheel("with-extra", "1.0", requires=["dep; extra == 'more-things'"])
        served.add_wheel("needs-yanked", "1.0", requires=["withdrawn"])
        served.add_wheel("future", "1.0", python=">=3.99")
        url = f"{served.url}/files/dep-1.0-py3-none-any.whl"
        served.add_wheel("needs-url", "1.0", requires=[f"dep @ {url}"])
        served.add_wheel("both", "1.0", index="own")
        served.add_wheel("both", "2.0")
        yield served


def found(
    index: Registry,
    *requirements: str,
    cooldown: Cooldown = NO_COOLDOWN,
    fixes: Fixes | None = None,
    **environment: str,
) -> Resolved:
    uv = Uv(index.environment(**environment), sys.executable, lambda _: None)
    return uv.resolve(requirements, Rule(cooldown, NOW, fixes))


def versions(found: Resolved) -> dict[str, str]:
    return dict(it.purl.removeprefix("pkg:pypi/").split("@") for it in found.packages)


def lock(index: Registry, command: str) -> Resolution:
    return resolve(
        parse_command(command.split()),
        folder=Path(),
        now=NOW,
        cooldown=Cooldown(),
        environment=index.environment(),
    )


def test_the_newest_version_that_is_old_enough_is_taken(index: Registry) -> None:
    """Seven days for what was asked for, fourteen for what that needs."""
    assert versions(found(index, "app", cooldown=Cooldown())) == {
        "app": "1.1",
        "dep": "1.0",
    }
    assert versions(found(index, "app")) == {"app": "1.2", "dep": "1.1"}


def test_a_version_that_is_too_young_is_refused_with_the_way_out(index: Registry) -> None:
    with pytest.raises(LockError) as caught:
        found(index, "app==1.2", cooldown=Cooldown())
    assert "`app@1.2` was published 6 days ago" in str(caught.value)
    assert "`--cooldown`" in str(caught.value)


def test_a_version_that_an_advisory_names_as_its_fix_may_be_young(index: Registry) -> None:
    fixes = Fixes(lambda _: False, lambda purl: purl == "pkg:pypi/app@1.2")
    pinned = found(index, "app==1.2", cooldown=Cooldown(), fixes=fixes)
    assert versions(pinned) == {"app": "1.2", "dep": "1.0"}


@pytest.mark.parametrize(
    ("affected", "taken"),
    [
        ({"dep@1.0"}, {"app": "1.1", "dep": "1.1"}),
        ({"app@1.1"}, {"app": "1.2", "dep": "1.0"}),
        ({"dep@1.0", "dep@1.1"}, {"app": "1.1", "dep": "1.0"}),
        ({"dep@1.1"}, {"app": "1.1", "dep": "1.0"}),
    ],
)
def test_a_young_version_replaces_one_that_has_an_advisory(
    index: Registry, affected: set[str], taken: dict[str, str]
) -> None:
    fixes = Fixes(lambda purl: purl.removeprefix("pkg:pypi/") in affected, lambda _: False)
    assert versions(found(index, "app", cooldown=Cooldown(), fixes=fixes)) == taken


def test_an_age_that_the_registry_does_not_say_is_not_assessed(index: Registry) -> None:
    locked = lock(index, "uvx undated")
    assert [it.purl for it in locked.packages] == [
        "pkg:pypi/dep@1.0",
        "pkg:pypi/undated@1.0",
    ]
    assert locked.warnings == (
        "not assessed: the registry does not say when `undated@1.0` was published",
    )


def test_what_was_withdrawn_is_told_with_its_reason(index: Registry) -> None:
    assert lock(index, "uvx withdrawn@1.0").warnings == (
        "`withdrawn@1.0` was yanked: leaks keys",
    )
    with pytest.raises(LockError, match="yanked"):
        found(index, "needs-yanked")


def test_a_package_without_a_wheel_is_refused(index: Registry) -> None:
    with pytest.raises(LockError, match="published as source only"):
        found(index, "source-only")
    with pytest.raises(LockError, match="windows-only"):
        found(index, "windows-only")


def test_a_package_for_another_interpreter_says_for_which(index: Registry) -> None:
    with pytest.raises(LockError, match=r"needs Python >=3\.99"):
        found(index, "future")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no-such-package", "`uv` found no packages"),
        ("needs-url", "URL dependencies must be"),
    ],
)
def test_what_no_registry_has_is_refused(index: Registry, name: str, told: str) -> None:
    with pytest.raises(LockError, match=told):
        found(index, name)


def test_only_what_this_platform_needs_is_a_package_of_it(index: Registry) -> None:
    resolved = found(index, "with-marker")
    assert versions(resolved) == {"with-marker": "1.0"}
    assert "windows-only==1.0 ; sys_platform == 'win32'" in resolved.native


def test_extras_are_resolved_and_names_are_normalised(index: Registry) -> None:
    locked = lock(index, "uvx With_Extra[More.Things]@1.0")
    assert [it.purl for it in locked.packages] == [
        "pkg:pypi/dep@1.0",
        "pkg:pypi/with-extra@1.0",
    ]
    assert locked.root == "pkg:pypi/with-extra@1.0"
    assert locked.packages[0].parents == ("pkg:pypi/with-extra@1.0",)


def test_further_requirements_are_resolved_with_it(index: Registry) -> None:
    locked = lock(index, "uvx --with both==2.0 with-extra")
    assert locked.root == "pkg:pypi/with-extra@1.0"
    assert "pkg:pypi/both@2.0" in {it.purl for it in locked.packages}


@pytest.mark.parametrize("variable", ["UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"])
def test_settings_that_mix_registries_are_refused(index: Registry, variable: str) -> None:
    with pytest.raises(LockError, match=variable):
        found(index, "app", **{variable: f"{index.url}/own/"})


def test_packages_of_two_registries_are_refused(index: Registry) -> None:
    with pytest.raises(LockError, match="from several registries"):
        found(index, "both", "app", UV_INDEX=f"{index.url}/own/")


def test_the_first_registry_that_has_a_package_is_its_only_one(index: Registry) -> None:
    """Dependency confusion: a higher version elsewhere is not taken."""
    resolved = found(
        index,
        "both",
        UV_INDEX=f"{index.url}/own/",
        UV_INDEX_STRATEGY="unsafe-best-match",
    )
    assert versions(resolved) == {"both": "1.0"}


def test_an_own_package_never_comes_from_the_public_registry() -> None:
    purl = "pkg:pypi/acme-tickets@1.0"
    package = Package(purl, Artifact("acme_tickets-1.0-py3-none-any.whl", "00"))
    public = Resolved(purl, (package,), "", frozenset({purl}))
    with pytest.raises(LockError, match="package of your own"):
        refuse_strangers(public, ["Acme_Tickets"])
    with pytest.raises(LockError, match="package of your own"):
        refuse_strangers(public, ["other", "acme.*"])
    refuse_strangers(public, ["acme-tickets-2", "acme", "a+*", "acme-ticket"])
    refuse_strangers(Resolved(purl, (package,), "", frozenset()), ["acme-tickets"])


def test_a_real_server_is_locked_with_the_file_of_this_platform(
    time_resolution: Resolution,
) -> None:
    by_name = {it.purl.partition("@")[0]: it for it in time_resolution.packages}
    server = by_name["pkg:pypi/mcp-server-time"]
    native = by_name["pkg:pypi/pydantic-core"]
    assert time_resolution.root == server.purl
    assert server.parents == ()
    assert server.artifact.filename.endswith("-py3-none-any.whl")
    assert "linux" in native.artifact.filename
    assert len(native.others) > 10
    assert f"sha256:{native.artifact.sha256}" not in native.others
    assert any(it.startswith("pkg:pypi/pydantic@") for it in native.parents)
    for package in time_resolution.packages:
        assert package.artifact.size > 0
        assert package.published_at.endswith("Z")
        assert len(package.artifact.sha256) == 64


def test_no_host_stands_in_a_lock(time_resolution: Resolution) -> None:
    assert time_resolution.native_lock is not None
    assert "://" not in time_resolution.native_lock
    assert PUBLIC_INDEX not in repr(time_resolution.packages)


def test_two_resolutions_give_the_same(time_resolution: Resolution) -> None:
    assert resolved(TIME) == time_resolution


def test_settings_of_the_operator_put_nothing_into_the_lock(
    index: Registry, tmp_path: Path
) -> None:
    settings = tmp_path / "uv.toml"
    settings.write_text(
        "[pip]\nemit-index-url = true\nno-annotate = true\nannotation-style = 'line'\n"
        "universal = true\nresolution = 'lowest'\nprerelease = 'allow'\n"
    )
    assert found(index, "app", UV_CONFIG_FILE=str(settings)) == found(index, "app")


def test_settings_of_strangers_are_not_found(index: Registry, tmp_path: Path) -> None:
    """Whoever may write where temporary files are would choose the registry."""
    stranger = f"index-url = '{index.url}/own/'\n[pip]\nindex-url = '{index.url}/own/'\n"
    (tmp_path / "uv.toml").write_text(stranger)
    (tmp_path / "pyproject.toml").write_text(f"[tool.uv]\n{stranger[: stranger.find('[')]}")
    (tmp_path / ".python-version").write_text("3.99\n")
    environment = index.environment(TMPDIR=str(tmp_path), UV_INDEX_URL="")
    environment["UV_DEFAULT_INDEX"] = ""  # else the settings of strangers were weaker
    operator = tmp_path / "home" / ".config" / "uv" / "uv.toml"
    operator.parent.mkdir(parents=True)
    operator.write_text(f"index-url = '{index.url}/simple/'\n")
    environment["HOME"] = str(tmp_path / "home")
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "home" / ".config")
    uv = Uv(environment, sys.executable, lambda _: None)
    resolved = uv.resolve(["both"], Rule(NO_COOLDOWN, NOW))
    assert versions(resolved) == {"both": "2.0"}


def test_the_time_of_a_publication_is_written_as_it_is_read(index: Registry) -> None:
    (package,) = found(index, "dep").packages
    assert package.published_at == rfc3339(days_ago(13))
