"""`bascule install`: what is locked comes into the store, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from bascule.cli.main import main
from bascule.cli.schemas import schema_of
from bascule.lock.install import Order, install
from bascule.lock.launcher import parse_command
from bascule.lock.lock_file import change_lock, native_lock, native_name, with_entry
from bascule.lock.model import Access, Build, Entry, Launch, LockFile, Package
from bascule.lock.runtime import find_runtime, platform_name
from bascule.lock.store import Store
from bascule.lock.tree import measure
from supply_chain import make_tarball, make_wheel, npm_lock, tampering

SHAPE = Draft202012Validator(schema_of("install") or {})
CONFIG = """
[connectors.hello]
command = {command}
mode = "observe"
"""


@dataclass
class Site:
    """A configuration with one locked connector, packages on disk, and no registry."""

    folder: Path
    entry: Entry

    @property
    def wheels(self) -> Path:
        """Where packages lie."""
        return self.folder / "wheels"

    @property
    def store(self) -> Store:
        """The store of the installation, empty at first."""
        return Store(self.folder / "data" / "store")

    def lock(self, entry: Entry, native: str = "") -> None:
        """Lock something else."""
        beside = {}
        if native:
            held = native_lock(native, "package-lock")
            beside[native_name("hello", "package-lock")] = native.encode()
            entry = msgspec.structs.replace(entry, native_lock=held)

        def change(lock: LockFile) -> LockFile:
            return with_entry(lock, "hello", entry)

        change_lock(self.folder, change, beside=beside)
        self.entry = entry

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run `bascule install`; give the row that it prints, if any."""
        options = ["--config", "bascule.toml", "--data-dir", "data"]
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(main, ["install", *arguments, *options, "--json"])
        finally:
            os.chdir(before)
        assert done.exit_code == code, done.output
        if not done.stdout:
            return {"error": done.stderr}
        row: dict[str, Any] = json.loads(done.stdout)
        SHAPE.validate(row)
        return row


def entry_of(
    tmp_path: Path, command: tuple[str, ...], packages: list[Package], native: str = ""
) -> Entry:
    """Make an entry as `bascule lock` would, in another store."""
    asked = parse_command(command)
    runtime = find_runtime("node" if native else "python", os.environ)
    order = Order(
        asked=asked,
        root=packages[0].purl,
        packages=tuple(packages),
        native_lock=native,
        base=tmp_path,
    )
    made = install(
        order,
        Store(tmp_path / "other"),
        runtime,
        environment=os.environ,
        artifacts=tmp_path / "wheels",
    )
    shutil.rmtree(tmp_path / "other" / "downloads", ignore_errors=True)
    return Entry(
        asked.source,
        Launch("stdio", command, made.argv),
        Access(),
        root=packages[0].purl,
        packages=made.packages,
        builds={platform_name(): Build(made.runtime, made.tree)},
    )


def site(
    folder: Path, command: tuple[str, ...], packages: list[Package], native: str = ""
) -> Site:
    """Make a configuration with one locked connector."""
    text = CONFIG.format(command=json.dumps(command))
    (folder / "bascule.toml").write_text(text)
    (folder / "bascule.toml").chmod(0o600)
    entry = entry_of(folder, command, packages, native)
    made = Site(folder, entry)
    made.lock(entry, native)
    return made


@pytest.fixture
def hello(tmp_path: Path) -> Site:
    """Give a connector from PyPI."""
    (tmp_path / "wheels").mkdir()
    package = make_wheel(
        tmp_path / "wheels",
        files={"hello.py": "def main(): ..."},
        scripts={"hello": "hello:main"},
    )
    return site(tmp_path, ("uvx", "hello"), [package])


def test_what_is_locked_comes_into_the_store_once(hello: Site) -> None:
    tree = hello.entry.builds[platform_name()].tree
    row = hello.run("--all", "--from", "wheels")
    assert row == {
        "connector": "hello",
        "state": "installed",
        "tree": tree.sha256,
        "found": "",
        "differences": [],
        "notes": [],
    }
    hello.store.verify(tree)
    shutil.rmtree(hello.wheels)
    hello.wheels.mkdir()
    assert hello.run("hello", "--from", "wheels")["state"] == "present"


def test_a_tree_that_drifted_is_installed_anew(hello: Site) -> None:
    tree = hello.entry.builds[platform_name()].tree
    hello.run("hello", "--from", "wheels")
    with tampering(hello.store.path(tree.sha256)) as place:
        (place / "evil.pth").write_text("import evil")
    assert hello.run("hello", "--from", "wheels")["state"] == "installed"
    hello.store.verify(tree)


def test_packages_of_npm_come_from_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    package = make_tarball(tmp_path / "wheels", files={"a.js": "1"}, bin="a.js")
    lock = npm_lock([package])
    made = site(tmp_path, ("npx", "hello"), [package], lock)
    assert made.run("--all", "--from", "wheels")["state"] == "installed"
    (tmp_path / "locks" / "hello" / "package-lock.json").write_text(lock + " ")
    made.store.remove_unused([])
    assert "package-lock.json" in made.run("--all", "--from", "wheels", code=3)["error"]


def test_another_artefact_is_refused(hello: Site) -> None:
    (wheel,) = hello.wheels.iterdir()
    make_wheel(
        hello.wheels,
        files={"hello.py": "def main(): evil"},
        scripts={"hello": "hello:main"},
    )
    assert wheel.exists()
    error = hello.run("--all", "--from", "wheels", code=3)["error"]
    assert "hello" in error


def test_a_lock_of_another_tree_installs_nothing(hello: Site) -> None:
    """As when the lock was edited by hand: its hashes fit the packages, its tree not."""
    build = hello.entry.builds[platform_name()]
    other = msgspec.structs.replace(build.tree, sha256="a" * 64)
    builds = {platform_name(): Build(build.runtime, other)}
    hello.lock(msgspec.structs.replace(hello.entry, builds=builds))
    row = hello.run("--all", "--from", "wheels", code=1)
    assert (row["state"], row["found"]) == ("differs", build.tree.sha256)
    assert not hello.store.has(build.tree.sha256)
    assert not hello.store.has("a" * 64)


def test_a_lock_that_runs_something_else_is_told(hello: Site) -> None:
    launch = hello.entry.launch
    argv = ("{python}", "-c", "evil")
    launch = msgspec.structs.replace(launch, argv=argv)
    hello.lock(msgspec.structs.replace(hello.entry, launch=launch))
    row = hello.run("--all", "--from", "wheels", code=1)
    assert row["state"] == "differs"
    assert "another program" in row["notes"][0]


def test_another_interpreter_is_told(hello: Site) -> None:
    build = hello.entry.builds[platform_name()]
    runtime = msgspec.structs.replace(build.runtime, sha256="0" * 64)
    builds = {platform_name(): Build(runtime, build.tree)}
    hello.lock(msgspec.structs.replace(hello.entry, builds=builds))
    row = hello.run("--all", "--from", "wheels")
    assert row["state"] == "installed"
    assert "of another build" in row["notes"][0]


def test_what_is_locked_for_other_platforms_is_refused(hello: Site) -> None:
    build = hello.entry.builds[platform_name()]
    builds = {"plan9-mips": build}
    hello.lock(msgspec.structs.replace(hello.entry, builds=builds))
    error = hello.run("--all", "--from", "wheels", code=3)["error"]
    assert "locked for plan9-mips" in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name connectors, or give --all"),
        (("hello", "--all"), 2, "name connectors, or give --all"),
        (("unknown",), 3, "`unknown` is not locked"),
    ],
)
def test_wrong_use_is_told(
    hello: Site, arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert message in hello.run(*arguments, code=code)["error"]


def test_a_remote_server_has_nothing_to_install(hello: Site) -> None:
    source = replace(parse_command(["https://hello.example/mcp"])).source
    launch = Launch("http", url="https://hello.example/mcp")
    hello.lock(Entry(source, launch, Access()))
    assert hello.run("--all")["state"] == "nothing"


def killed_after(hello: Site, seconds: float) -> None:
    """Run `bascule install` and kill it, with all that it started, after a while."""
    command = [sys.executable, "-m", "bascule.cli.main", "install", "--all"]
    options = ["--from", "wheels", "--config", "bascule.toml", "--data-dir", "data"]
    process = subprocess.Popen(
        [*command, *options],
        cwd=hello.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()


def holds_whole_trees_alone(hello: Site) -> bool:
    """Tell whether each tree in the store is what its name says."""
    folder = hello.store.root / "sha256"
    trees = [] if not folder.is_dir() else list(folder.glob("[0-9a-f]*"))
    return all(measure(tree, sealed=True).sha256 == tree.name for tree in trees)


def survives_kills(hello: Site, moments: Sequence[float]) -> None:
    tree = hello.entry.builds[platform_name()].tree
    for seconds in moments:
        killed_after(hello, seconds)
        assert holds_whole_trees_alone(hello)
        hello.store.remove_unused([])
    assert hello.run("--all", "--from", "wheels")["state"] == "installed"
    hello.store.verify(tree)
    left = {path.name for path in (hello.store.root / "sha256").iterdir()}
    assert left == {tree.sha256}


def test_an_installation_that_is_killed_leaves_the_old_state_whole(hello: Site) -> None:
    survives_kills(hello, [0.3, 0.6, 0.9])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_an_installation_may_be_killed_at_any_moment(hello: Site) -> None:
    survives_kills(hello, [number * 0.03 for number in range(60)])
