"""Trees made from the lock: the same everywhere, checked, and nothing of them run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bascule.lock.entry_point import executable_argv
from bascule.lock.install import (
    Installed,
    Order,
    install,
    installed_already,
    kind_of_runtime,
)
from bascule.lock.launcher import parse_command
from bascule.lock.model import Artifact, Build, Launch, LockError, Package
from bascule.lock.runtime import FoundRuntime, find_runtime
from bascule.lock.store import DriftedTreeError, Store
from supply_chain import make_tarball, make_wheel, npm_lock, tampering

HELLO = """
import sys, pathlib
def main():
    print("hello", sys.argv, "/site-packages" in "".join(sys.path))
class Group:
    class run:
        def __new__(cls):
            print("nested")
"""


@pytest.fixture(scope="session")
def python() -> FoundRuntime:
    return find_runtime("python", os.environ)


@pytest.fixture(scope="session")
def node() -> FoundRuntime:
    return find_runtime("node", os.environ)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def ordered(command: Sequence[str], packages: Sequence[Package], lock: str = "") -> Order:
    root = packages[0].purl if packages else ""
    asked = parse_command(command)
    return Order(
        asked=asked, root=root, packages=tuple(packages), native_lock=lock, base=Path("/")
    )


def output(installed: Installed, runtime: FoundRuntime, store: Store) -> str:
    """Run what was installed, as it would be launched, with nothing in its environment."""
    launch = Launch("stdio", argv=installed.argv)
    argv = executable_argv(launch, runtime, store.path(installed.tree.sha256))
    done = subprocess.run(argv, env={}, cwd="/", capture_output=True, check=True, text=True)
    store.verify(installed.tree)
    return done.stdout


def test_a_console_script_runs_from_the_tree(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    scripts = {"hello": "hello.app:main"}
    files = {"hello/__init__.py": "", "hello/app.py": HELLO}
    package = make_wheel(wheels, files=files, scripts=scripts)
    order = ordered(["uvx", "hello", "{x}", "--a"], [package])
    installed = install(order, store, python, environment=os.environ, artifacts=wheels)
    assert output(installed, python, store) == "hello ['hello', '{x}', '--a'] False\n"
    assert installed.runtime == python.runtime


def test_a_nested_attribute_and_a_module_run_as_well(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    files = {"hello/__init__.py": HELLO, "hello/__main__.py": "import sys; print(sys.argv)"}
    package = make_wheel(wheels, files=files, scripts={"nested": "hello:Group.run [extra]"})
    order = ordered(["uvx", "--from", "hello", "nested"], [package])
    installed = install(order, store, python, environment=os.environ, artifacts=wheels)
    assert output(installed, python, store) == "nested\n"
    order = ordered(["python", "-m", "hello", "x"], [package])
    module = install(order, store, python, environment=os.environ, artifacts=wheels)
    assert module.tree == installed.tree
    place = store.path(module.tree.sha256) / "hello" / "__main__.py"
    assert output(module, python, store) == f"['{place}', 'x']\n"


def test_the_same_lock_gives_the_same_tree_in_another_store(
    wheels: Path, tmp_path: Path, python: FoundRuntime
) -> None:
    files = {"hello/__init__.py": HELLO, "hello/sets.py": "X = {'a', 'b', 'c'} & {1, 2}\n"}
    package = make_wheel(wheels, files=files, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    trees = []
    for folder in ("a", "b/with/a/longer/path"):
        other = Store(tmp_path / folder)
        made = install(order, other, python, environment=os.environ, artifacts=wheels)
        trees.append(made.tree)
        place = other.path(made.tree.sha256)
        assert (place / "hello" / "__pycache__").is_dir()
        for path in place.rglob("*"):
            if path.is_file():
                assert os.fsencode(tmp_path) not in path.read_bytes()
                assert os.fsencode(sys.prefix) not in path.read_bytes()
    assert trees[0] == trees[1]


def test_what_belongs_to_this_machine_is_not_in_the_tree(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    files = {"hello/__init__.py": HELLO, "hello-1.0.data/scripts/tool": "#!/bin/sh\n"}
    package = make_wheel(wheels, files=files, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    place = store.path(made.tree.sha256)
    found = {
        path.relative_to(place).as_posix()
        for path in place.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == {
        "bin/tool",
        "hello/__init__.py",
        "hello-1.0.dist-info/METADATA",
        "hello-1.0.dist-info/RECORD",
        "hello-1.0.dist-info/WHEEL",
        "hello-1.0.dist-info/entry_points.txt",
    }
    record = (place / "hello-1.0.dist-info" / "RECORD").read_text()
    assert {line.split(",")[0] for line in record.splitlines()} == found


def test_another_hash_is_refused(wheels: Path, store: Store, python: FoundRuntime) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    other = replace_hash(package, "0" * 64)
    order = ordered(["uvx", "hello"], [other])
    with pytest.raises(LockError, match=r"(?i)hash"):
        install(order, store, python, environment=os.environ, artifacts=wheels)
    assert not list((store.root / "sha256").iterdir())


def replace_hash(package: Package, digest: str) -> Package:
    return Package(package.purl, Artifact(package.artifact.filename, digest))


def test_a_package_without_a_hash_is_refused(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO})
    order = ordered(["uvx", "hello"], [replace_hash(package, "")])
    with pytest.raises(LockError, match="no SHA-256"):
        install(order, store, python, environment=os.environ, artifacts=wheels)


def test_settings_that_others_left_in_a_folder_above_are_not_read(
    wheels: Path, store: Store, python: FoundRuntime, tmp_path: Path
) -> None:
    """In /tmp anybody could put them there."""
    (tmp_path / "uv.toml").write_text('required-version = ">=99"\n')
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    store.verify(made.tree)


def test_what_a_package_needs_and_the_lock_has_not_is_not_installed(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    needing = "Requires-Dist: other\n"
    package = make_wheel(
        wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"}, metadata=needing
    )
    make_wheel(wheels, "other", files={"other.py": ""})
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    assert not (store.path(made.tree.sha256) / "other.py").exists()


def test_a_wheel_whose_list_tells_of_other_bytes_is_refused(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    lies = {"hello.py": b"nothing of that kind"}
    package = make_wheel(
        wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"}, lies=lies
    )
    order = ordered(["uvx", "hello"], [package])
    with pytest.raises(LockError, match=r"hello\.py"):
        install(order, store, python, environment=os.environ, artifacts=wheels)


def test_two_packages_that_bring_one_path_are_refused(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    first = make_wheel(
        wheels, files={"hello.py": HELLO, "common.py": "1"}, scripts={"hello": "hello:main"}
    )
    second = make_wheel(wheels, "other", files={"common.py": "2"})
    order = ordered(["uvx", "hello"], [first, second])
    with pytest.raises(LockError, match=r"common\.py.*another package brings it too"):
        install(order, store, python, environment=os.environ, artifacts=wheels)


def test_a_source_distribution_is_never_built(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    (wheels / "hello-1.0.tar.gz").write_bytes(b"setup.py would run here")
    package = Package("pkg:pypi/hello@1.0", Artifact("hello-1.0.tar.gz", "0" * 64))
    with pytest.raises(LockError, match="hello"):
        install(
            ordered(["uvx", "hello"], [package]),
            store,
            python,
            environment=os.environ,
            artifacts=wheels,
        )


def test_the_facts_of_a_wheel_are_found_on_disk(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    files = {
        "hello/__init__.py": HELLO,
        "hello/fast.so": b"\x7fELF\x02\x01\x01",
        "hello-nspkg.pth": "import os\n",
        "sitecustomize.py": "",
    }
    package = make_wheel(
        wheels, files=files, scripts={"hello": "hello:main"}, metadata="License: MIT\n"
    )
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    (found,) = made.packages
    assert found.native
    assert found.auto_exec == ("hello-nspkg.pth", "sitecustomize.py")
    assert found.license == "MIT"
    assert found.paths == (
        "hello",
        "hello-1.0.dist-info",
        "hello-nspkg.pth",
        "sitecustomize.py",
    )
    assert found.artifact == package.artifact


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({}, "it has none"),
        ({"a": "hello:main", "b": "hello:main"}, "it has `a`, `b`"),
        ({"hello": "nowhere:main"}, "`nowhere` is not in the packages"),
        ({"hello": "os:getcwd"}, "`os` is not in the packages"),
        ({"hello": "hello"}, "invalid console script"),
        ({"hello": "hello:main; import os"}, "invalid console script"),
    ],
)
def test_a_program_must_be_one_of_the_package(
    wheels: Path,
    store: Store,
    python: FoundRuntime,
    scripts: dict[str, str],
    message: str,
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts=scripts)
    order = ordered(["uvx", "hello"], [package])
    with pytest.raises(LockError, match=message):
        install(order, store, python, environment=os.environ, artifacts=wheels)


def test_poisoned_bytecode_in_a_wheel_is_replaced_or_refused(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    """Bytecode that a wheel brings for its own module is compiled anew."""
    name = f"hello/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    files: dict[str, str | bytes] = {"hello/__init__.py": HELLO, name: b"poison"}
    package = make_wheel(wheels, files=files, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    assert (store.path(made.tree.sha256) / name).read_bytes() != b"poison"
    assert output(made, python, store).startswith("hello")


def test_poisoned_bytecode_in_the_store_is_drift(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    (compiled,) = store.path(made.tree.sha256).glob("__pycache__/hello.*.pyc")
    data = bytearray(compiled.read_bytes())
    data[-1] ^= 1
    compiled.chmod(0o644)
    compiled.write_bytes(data)
    compiled.chmod(0o444)
    with pytest.raises(DriftedTreeError, match=r"__pycache__/hello\..*content"):
        store.verify(made.tree)


def test_a_corrupted_cache_of_the_operator_is_of_no_consequence(
    wheels: Path, store: Store, python: FoundRuntime, tmp_path: Path
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    environment = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")}
    order = ordered(["uvx", "hello"], [package])
    good = install(order, store, python, environment=environment, artifacts=wheels)
    _fill_cache(package, wheels, environment, tmp_path)
    poisoned = list((tmp_path / "cache").rglob("hello.py"))
    assert poisoned, "uv keeps unpacked wheels elsewhere now: look where, and poison those"
    for path in poisoned:
        path.write_text("print('evil')")
    again = install(
        order, Store(tmp_path / "other"), python, environment=environment, artifacts=wheels
    )
    assert again.tree == good.tree


def test_a_corrupted_cache_of_our_own_is_thrown_away(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello"], [package])
    good = install(order, store, python, environment=os.environ, artifacts=wheels)
    kept = list(store.downloads.rglob("hello.py"))
    assert kept, "uv keeps unpacked wheels elsewhere now: look where, and poison those"
    for path in kept:
        path.write_text("print('evil')")
    with tampering(store.path(good.tree.sha256)) as place:
        (place / "hello.py").unlink()
    assert install(order, store, python, environment=os.environ, artifacts=wheels) == good
    store.verify(good.tree)


def test_what_is_in_the_store_is_not_installed_again(
    wheels: Path, store: Store, python: FoundRuntime
) -> None:
    package = make_wheel(wheels, files={"hello.py": HELLO}, scripts={"hello": "hello:main"})
    order = ordered(["uvx", "hello", "x"], [package])
    made = install(order, store, python, environment=os.environ, artifacts=wheels)
    build = Build(made.runtime, made.tree)
    order = replace(order, packages=made.packages)
    assert installed_already(order, store, build, python) == made
    other = msgspec.structs.replace(build.runtime, sha256="0" * 64)
    assert installed_already(order, store, Build(other, made.tree), python) is None
    with tampering(store.path(made.tree.sha256)) as place:
        (place / "more.py").touch(0o444)
    assert installed_already(order, store, build, python) is None
    store.remove_unused([])
    assert installed_already(order, store, build, python) is None


def _fill_cache(
    package: Package, wheels: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Have uv install a package with a cache that the operator would use."""
    from uv import find_uv_bin

    requirement = f"{package.artifact.filename.split('-')[0]}==1.0"
    subprocess.run(
        [
            *(find_uv_bin(), "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--find-links", wheels, "--python", sys.executable),
            *("--target", tmp_path / "target", requirement),
        ],
        env=environment,
        check=True,
    )


def test_a_program_of_npm_runs_from_the_tree(
    wheels: Path, store: Store, node: FoundRuntime, tmp_path: Path
) -> None:
    main = (
        "#!/usr/bin/env node\nconsole.log(require('@x/dep').name, process.argv.slice(2));"
    )
    root = make_tarball(
        wheels,
        files={"dist/cli.js": main},
        bin={"hello": "./dist/cli.js"},
        license="ISC",
        scripts={"postinstall": f"touch {tmp_path}/ran", "test": "x"},
    )
    dependency = make_tarball(
        wheels,
        "@x/dep",
        files={"index.js": "exports.name = 'dep'", "binding.gyp": "{}"},
        license={"type": "MIT"},
    )
    packages = [root, dependency]
    order = ordered(["npx", "-y", "hello", "a b"], packages, npm_lock(packages))
    made = install(order, store, node, environment=os.environ, artifacts=wheels)
    assert output(made, node, store) == "dep [ 'a b' ]\n"
    assert not (tmp_path / "ran").exists()
    assert [it.install_scripts for it in made.packages] == [("postinstall",), ("install",)]
    assert [it.license for it in made.packages] == ["ISC", "MIT"]
    place = store.path(made.tree.sha256)
    assert {path.name for path in place.iterdir()} == {"node_modules"}
    assert {path.name for path in (place / "node_modules").iterdir()} == {"@x", "hello"}
    other = Store(tmp_path / "other")
    again = install(order, other, node, environment=os.environ, artifacts=wheels)
    assert again == made


def test_a_tarball_that_was_changed_is_refused(
    wheels: Path, store: Store, node: FoundRuntime
) -> None:
    package = make_tarball(wheels, files={"a.js": "1"}, bin="a.js")
    order = ordered(["npx", "hello"], [package], npm_lock([package]))
    path = wheels / package.artifact.filename
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(LockError, match="no tarball with the hash of `node_modules/hello`"):
        install(order, store, node, environment=os.environ, artifacts=wheels)


BUILD = """
const fs = require("fs"), net = require("net");
fs.writeFileSync("package.json", '{"version": "1.0.0", "bin": "a.js"}');
fs.writeFileSync("fast.node", Buffer.from("7f454c46", "hex"));
fs.writeFileSync("built.txt", process.cwd() + " " + Object.keys(process.env).length);
for (const path of ["../other/evil.txt", "../evil.txt", "/evil.txt"]) {
  try { fs.writeFileSync(path, ""); process.exit(3); } catch {}
}
for (const path of ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]) {
  try { fs.openSync(path, "r+"); process.exit(6); } catch {}
}
try { fs.readFileSync("%s"); process.exit(4); } catch {}
net.connect(80, "127.0.0.1").on("error", () => process.exit(0))
  .on("connect", () => process.exit(5));
"""


def test_a_script_that_was_allowed_runs_enclosed_and_gives_the_same_tree(
    wheels: Path, store: Store, node: FoundRuntime, tmp_path: Path
) -> None:
    (tmp_path / "secret").touch()
    package = make_tarball(
        wheels,
        files={"a.js": "1", "build.js": BUILD % (tmp_path / "secret")},
        bin="a.js",
        scripts={"install": "node build.js"},
    )
    other = make_tarball(wheels, "other", scripts={"postinstall": "touch ran"})
    packages = [package, other]
    order = ordered(["npx", "hello"], packages, npm_lock(packages))
    order = replace(order, scripts_allowed=(package.purl,))
    made = install(order, store, node, environment=os.environ, artifacts=wheels)
    modules = store.path(made.tree.sha256) / "node_modules"
    built = (modules / "hello" / "built.txt").read_text()
    assert built.startswith("/build/node_modules/hello ")
    assert made.packages[0].install_scripts == ("install",)
    assert [it.native for it in made.packages] == [True, False]
    assert not (modules / "other" / "ran").exists()
    elsewhere = Store(tmp_path / "elsewhere")
    again = install(order, elsewhere, node, environment=os.environ, artifacts=wheels)
    assert again == made


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("rm -r node_modules/inner; ln -s /etc node_modules/inner", "absolute path"),
        ("rm -r node_modules/inner; ln -s ../../other node_modules/inner", "by a link"),
        ("ln -s /dev/zero package.json -f", "absolute path"),
        ("ulimit -d unlimited", "failed"),
        ("yes | head -c 100000000; exit 1", r"failed:.* y; y"),
    ],
)
def test_a_script_leads_nobody_out_of_its_folder(
    wheels: Path, store: Store, node: FoundRuntime, script: str, message: str
) -> None:
    scripts = {"preinstall": script, "install": "true"}
    package = make_tarball(wheels, files={"a.js": "1"}, bin="a.js", scripts=scripts)
    inner = make_tarball(wheels, "inner", scripts={"install": "touch evil"})
    inner = msgspec.structs.replace(inner, paths=("node_modules/hello/node_modules/inner",))
    other = make_tarball(wheels, "other")
    packages = [package, inner, other]
    order = ordered(["npx", "hello"], packages, nested(npm_lock(packages)))
    order = replace(order, scripts_allowed=(package.purl, inner.purl))
    with pytest.raises(LockError, match=message):
        install(order, store, node, environment=os.environ, artifacts=wheels)


def nested(lock: str) -> str:
    """Let `hello` need `inner`, which then lies in its folder."""
    made = json.loads(lock)
    wanted = made["packages"][""]["dependencies"]
    version = wanted.pop("inner")
    made["packages"]["node_modules/hello"]["dependencies"] = {"inner": version}
    return json.dumps(made)


def test_a_script_that_fails_ends_the_installation(
    wheels: Path, store: Store, node: FoundRuntime
) -> None:
    scripts = {"install": "echo no compiler; exit 1"}
    package = make_tarball(wheels, files={"a.js": "1"}, bin="a.js", scripts=scripts)
    order = ordered(["npx", "hello"], [package], npm_lock([package]))
    order = replace(order, scripts_allowed=(package.purl,))
    with pytest.raises(LockError, match="script `install` failed: no compiler"):
        install(order, store, node, environment=os.environ, artifacts=wheels)
    order = replace(order, scripts_allowed=("pkg:npm/other@1.0.0",))
    with pytest.raises(LockError, match=r"no install scripts to allow.*hello@1"):
        install(order, store, node, environment=os.environ, artifacts=wheels)


def test_a_file_of_this_machine_is_copied_and_runs(
    tmp_path: Path, store: Store, python: FoundRuntime
) -> None:
    (tmp_path / "server.py").write_text("import sys; print(__name__, sys.argv[1:])")
    (tmp_path / "other.py").write_text("")
    order = replace(ordered(["python", "server.py", "x"], []), base=tmp_path)
    assert kind_of_runtime(order.asked, tmp_path) == "python"
    made = install(order, store, python, environment={})
    assert output(made, python, store) == "__main__ ['x']\n"
    assert not (store.path(made.tree.sha256) / "other.py").exists()


def test_a_project_is_copied_without_what_does_not_belong_to_it(
    tmp_path: Path, store: Store, node: FoundRuntime
) -> None:
    project = tmp_path / "project"
    for folder in ("src", "node_modules/x", ".git", "__pycache__", "env"):
        (project / folder).mkdir(parents=True)
    (project / "package.json").write_text("{}")
    (project / "src" / "server.js").write_text("console.log(require('x'), require('./b'))")
    (project / "src" / "b.js").write_text("module.exports = 'b'")
    (project / "node_modules" / "x" / "index.js").write_text("module.exports = 'x'")
    (project / "link.js").symlink_to("src/b.js")
    for left_out in (".env", ".env.local", ".git/config", "env/pyvenv.cfg"):
        (project / left_out).touch()
    (tmp_path / "cache").write_text("shared")
    (project / "shared").hardlink_to(tmp_path / "cache")
    order = replace(
        ordered(["node", str(project / "src" / "server.js")], []), base=tmp_path
    )
    made = install(order, store, node, environment={})
    assert output(made, node, store) == "x b\n"
    place = store.path(made.tree.sha256)
    found = {it.relative_to(place).as_posix() for it in place.rglob("*") if not it.is_dir()}
    assert found == {
        *("package.json", "src/server.js", "src/b.js", "link.js", "shared"),
        "node_modules/x/index.js",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "does not exist"),
        ("script", "#!/bin/sh\n", "is a script"),
    ],
)
def test_a_path_that_cannot_be_locked_is_refused(
    tmp_path: Path, store: Store, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    order = replace(ordered([f"./{name}"], []), base=tmp_path)
    with pytest.raises(LockError, match=message):
        install(order, store, find_runtime("none", {}), environment={})


def test_the_folder_that_holds_the_store_is_no_part_of_a_project(
    tmp_path: Path, node: FoundRuntime
) -> None:
    """Keys lie beside the store."""
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "a.js").write_text("console.log(1)")
    (tmp_path / "data" / "keys").mkdir(parents=True)
    (tmp_path / "data" / "keys" / "signing").write_text("secret")
    store = Store(tmp_path / "data" / "store")
    order = replace(ordered(["node", "./a.js"], []), base=tmp_path)
    made = install(order, store, node, environment={})
    place = store.path(made.tree.sha256)
    assert {path.name for path in place.iterdir()} == {"a.js", "package.json"}


def test_a_link_out_of_a_project_is_refused(
    tmp_path: Path, store: Store, node: FoundRuntime
) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "a.js").write_text("")
    (tmp_path / "secrets").symlink_to("/etc")
    order = replace(ordered(["node", "./a.js"], []), base=tmp_path)
    with pytest.raises(LockError, match="absolute path"):
        install(order, store, node, environment={})


def test_a_bundle_is_pinned_by_its_hash_and_runs(
    tmp_path: Path, store: Store, python: FoundRuntime
) -> None:
    config = {"command": "python", "args": ["${__dirname}/server/main.py"]}
    config["env"] = {"PYTHONPATH": "${__dirname}/lib"}
    manifest = {
        "name": "hello",
        "version": "1.0.0",
        "server": {"type": "python", "mcp_config": config},
    }
    with zipfile.ZipFile(tmp_path / "hello.mcpb", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("lib/words.py", "HELLO = 'hello'")
        archive.writestr(
            "server/main.py", "import sys, words; print(words.HELLO, sys.argv[1:])"
        )
    order = replace(ordered(["./hello.mcpb", "x"], []), base=tmp_path)
    assert kind_of_runtime(order.asked, tmp_path) == "python"
    made = install(order, store, python, environment={})
    assert output(made, python, store) == "hello ['x']\n"
    (package,) = made.packages
    digest = hashlib.sha256((tmp_path / "hello.mcpb").read_bytes()).hexdigest()
    assert (package.purl, package.artifact.sha256) == ("pkg:generic/hello@1.0.0", digest)
    again = replace(order, packages=made.packages)
    assert install(again, store, python, environment={}) == made
    with zipfile.ZipFile(tmp_path / "hello.mcpb", "a") as archive:
        archive.writestr("lib/more.py", "")
    with pytest.raises(LockError, match="not the bundle that is locked"):
        install(again, store, python, environment={})
