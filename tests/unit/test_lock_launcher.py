"""What a command asks for, and which commands nobody can lock."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from bascule.clock import UnixTime
from bascule.lock.cooldown import NO_COOLDOWN
from bascule.lock.launcher import Asked, parse_command, parse_url
from bascule.lock.model import LockError, Source
from bascule.lock.modules import installed_distribution
from bascule.lock.resolve import resolve

DIGEST = "sha256:" + "ab" * 32


def pypi(spec: str, requested: str = "") -> Source:
    return Source("pypi", spec, requested)


def npm(spec: str, requested: str = "") -> Source:
    return Source("npm", spec, requested)


def parsed(command: str) -> Asked:
    return parse_command(command.split(), distribution_of=lambda _, __: None)


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("uvx mcp-server-time", Asked(pypi("mcp-server-time"))),
        ("uvx Mcp_Server.Time", Asked(pypi("mcp-server-time"))),
        ("/opt/bin/uvx mcp-server-time", Asked(pypi("mcp-server-time"))),
        (r"C:\tools\UVX.EXE mcp-server-time", Asked(pypi("mcp-server-time"))),
        ("uvx mcp-server-time@2026.1", Asked(pypi("mcp-server-time", "==2026.1"))),
        ("uvx mcp-server-time@latest", Asked(pypi("mcp-server-time"))),
        ("uvx mcp-server-time==2026.1", Asked(pypi("mcp-server-time", "==2026.1"))),
        ("uvx mcp-x[B,a_c]>=1,<3", Asked(pypi("mcp-x[a-c,b]", "<3,>=1"))),
        (
            "uvx mcp-server-git --repository /x --with y",
            Asked(pypi("mcp-server-git"), "", ("--repository", "/x", "--with", "y")),
        ),
        (
            "uvx --from mcp-x[cli]==1 run-it -v",
            Asked(pypi("mcp-x[cli]", "==1"), "run-it", ("-v",)),
        ),
        ("uvx --from=mcp-x run-it", Asked(pypi("mcp-x"), "run-it")),
        ("uvx -q --isolated --offline mcp-x", Asked(pypi("mcp-x"))),
        ("uvx -- mcp-x", Asked(pypi("mcp-x"))),
        (
            "uvx --with a[x,y]>=1,<2,B --with c mcp-x",
            Asked(pypi("mcp-x"), extra=("a[x,y]<2,>=1", "b", "c")),
        ),
        ("uv tool run mcp-x a", Asked(pypi("mcp-x"), "", ("a",))),
        ("pipx run mcp-x==1.0 a", Asked(pypi("mcp-x", "==1.0"), "", ("a",))),
        ("pipx run -- mcp-x --b", Asked(pypi("mcp-x"), "", ("--b",))),
        ("pipx run mcp-x -- --b", Asked(pypi("mcp-x"), "", ("--", "--b"))),
        ("pipx run --spec mcp-x==1 it --b", Asked(pypi("mcp-x", "==1"), "it", ("--b",))),
        ("npx -y mcp-x", Asked(npm("mcp-x"))),
        ("npx mcp-x@1.2.3 --yes", Asked(npm("mcp-x", "1.2.3"), "", ("--yes",))),
        ("npx --yes @scope/mcp-x@^1.2 /d", Asked(npm("@scope/mcp-x", "^1.2"), "", ("/d",))),
        ("npx -y @scope/mcp-x@latest", Asked(npm("@scope/mcp-x"))),
        ("npx -y @scope/mcp-x@next", Asked(npm("@scope/mcp-x", "next"))),
        ("npx.cmd -y mcp-x", Asked(npm("mcp-x"))),
        ("npx -p @s/a@1 run-it x", Asked(npm("@s/a", "1"), "run-it", ("x",))),
        (
            "npx --package=a --package b@2 it",
            Asked(npm("a"), "it", extra=("b@2",)),
        ),
        ("npm exec -y -- mcp-x --flag", Asked(npm("mcp-x"), "", ("--flag",))),
        ("npm exec mcp-x -- --flag", Asked(npm("mcp-x"), "", ("--flag",))),
        ("npm x mcp-x a", Asked(npm("mcp-x"), "", ("a",))),
        ("node dist/index.js a", Asked(Source("path", "dist/index.js"), "node", ("a",))),
        ("python -u server.py a", Asked(Source("path", "server.py"), "python", ("a",))),
        ("/srv/run --a", Asked(Source("path", "/srv/run"), "", ("--a",))),
        ("./x.mcpb", Asked(Source("mcpb", "./x.mcpb"))),
        ("https://a.example/mcp", Asked(Source("http", "https://a.example/mcp"))),
    ],
)
def test_a_command_asks_for(command: str, asked: Asked) -> None:
    assert parsed(command) == asked


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sh -c x", "without the shell"),
        ("/bin/bash -c uvx", "without the shell"),
        ("cmd.exe /c npx -y x", "without the shell"),
        ("env A=1 uvx x", "connector's `env`"),
        ("bunx x", "`npx -y PKG`"),
        ("pnpm dlx x", "`npx -y PKG`"),
        ("yarn dlx x", "`npx -y PKG`"),
        ("deno run npm:x", "`npx -y PKG`"),
        ("mcp-server-time", "no launcher that is known"),
        ("uvx", "names nothing to run"),
        ("uvx --from x", "names nothing to run"),
        ("uvx --from", "lacks its value"),
        ("uvx --frobnicate x y", "is not understood"),
        ("uvx --isolated=yes x", "without a value"),
        ("uvx --from a --from b c", "more than once"),
        ("uvx --from a python -m b", "not `python`"),
        ("uvx --from a b@1", "no name of a program"),
        ("uvx x@one", "is no version"),
        ("uvx git+https://a.example/x@main", "publish a wheel"),
        ("uvx --from git+https://a.example/x y", "publish a wheel"),
        ("uvx mcp\u2010server-time", "not named as"),
        ("uvx m\u0441p", "not named as"),
        ("npx m\u0441p", "not named as"),
        ("uvx --from ./x y", "publish a wheel"),
        ("uvx --from https://a.example/x.whl y", "publish a wheel"),
        ("uvx --index-url https://a.example x", "UV_DEFAULT_INDEX"),
        ("uvx --extra-index-url=https://a.example x", "UV_DEFAULT_INDEX"),
        ("uvx --index-strategy unsafe-best-match x", "UV_DEFAULT_INDEX"),
        ("uvx --python 3.12 x", "the lock records the interpreter"),
        ("uvx --with-requirements r.txt x", "`--with`"),
        ("uvx --prerelease=allow x", "PKG==VERSION"),
        ("uv run server.py", "only `uv tool run`"),
        ("pipx install x", "only `pipx run PKG`"),
        ("pipx run --pip-args=-ihttps://a.example x", "UV_DEFAULT_INDEX"),
        ("python", "names nothing to run"),
        ("python -c x", "put the code into a file"),
        ("python -", "nobody can lock"),
        ("python -m a-b", "names no module"),
        ("python -m", "lacks its value"),
        ("python -Wignore -m a", "is not understood"),
        ("node -e x", "put the code into a file"),
        ("node --require x y", "is not understood"),
        ("npx -y", "names nothing to run"),
        ("npx -y=true x", "without a value"),
        ("npx --no-audit x y", "is not understood"),
        ("npx -c x", "shell"),
        ("npx --registry https://a.example x", "UV_DEFAULT_INDEX"),
        ("npx x@npm:y@1", "no version, range or tag"),
        ("npx x@", "not named as"),
        ("npx github:a/b", "git addresses"),
        ("npx a/b", "git addresses"),
        ("npx ./a", "git addresses"),
        ("npx https://a.example/x.tgz", "git addresses"),
        ("npm exec x --flag", "npm exec -- PKG"),
        ("npm run x", "only `npm exec"),
        ("docker exec x", "only `docker run"),
        ("docker run", "names nothing to run"),
        ("docker run -d x", "foreground"),
        ("docker run --frobnicate x", "is not understood"),
        ("docker run -iZ x", "is not understood"),
        ("docker run -i A:B:C", "names no image"),
        ("https://a.example/mcp --x", "takes no arguments"),
        ("ftp://a.example/mcp", "begins with `https://`"),
    ],
)
def test_a_command_that_nobody_can_lock_says_what_to_write(command: str, told: str) -> None:
    with pytest.raises(LockError) as caught:
        parsed(command)
    assert told in str(caught.value)


def test_a_module_belongs_to_the_distribution_that_the_interpreter_has() -> None:
    asked = parse_command(
        ["./venv/bin/python3.11", "-um", "mcp_x.server", "-m"],
        distribution_of=lambda *asked: {("./venv/bin/python3.11", "mcp_x"): "Mcp.X"}[asked],
    )
    assert (asked.source, asked.entry, asked.is_module) == (
        pypi("mcp-x"),
        "mcp_x.server",
        True,
    )
    assert asked.arguments == ("-m",)
    assert asked.notes == (
        "module `mcp_x` belongs to `mcp-x`, as the interpreter's metadata say",
    )


def test_a_module_that_is_not_installed_gives_its_name_and_says_so() -> None:
    asked = parsed("python3 -m mcp_server_time")
    assert asked.source == pypi("mcp-server-time")
    assert "it is not installed" in asked.notes[0]


def test_an_interpreter_tells_which_distribution_a_module_is_of() -> None:
    assert installed_distribution(sys.executable, "rfc8785") == "rfc8785"
    assert installed_distribution(sys.executable, "no_such_module") is None
    assert installed_distribution("/no/such/python", "rfc8785") is None


def test_an_image_is_named_by_its_digest_else_by_its_tag() -> None:
    for reference, source in (
        ("mcp/time", Source("oci", "mcp/time")),
        ("mcp/time:1.0", Source("oci", "mcp/time", "1.0")),
        (f"mcp/time:1.0@{DIGEST}", Source("oci", "mcp/time", DIGEST)),
        ("h.example:5000/a/b:c", Source("oci", "h.example:5000/a/b", "c")),
    ):
        assert parsed(f"docker run -i --rm -e A=1 {reference} --x").source == source


def test_nothing_is_told_of_an_image_that_gets_nothing() -> None:
    asked = parsed(f"docker run -i --rm --network none mcp/time@{DIGEST} a -v")
    assert asked.notes == ()
    assert asked.arguments == ("a", "-v")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--privileged", "privileged"),
        ("-v /var/run/docker.sock:/s", "command the container engine"),
        ("-v /home:/home", "write files of the host"),
        ("-v/home:/home:ro", "read files of the host"),
        ("-iv /home:/home", "write files of the host"),
        ("--mount=type=bind,src=/,dst=/h,readonly", "read files of the host"),
        ("--network=host", "network namespace"),
        ("--net host", "network namespace"),
        ("--network bridge", "network of its own choice"),
        ("--pid host", "pid namespace"),
        ("--cap-add SYS_ADMIN", "capability"),
        ("--security-opt seccomp=unconfined", "confinement"),
        ("--device /dev/kvm", "device"),
        ("-p 80:80", "port of the container"),
    ],
)
def test_what_a_container_gets_of_the_host_is_told(option: str, told: str) -> None:
    notes = parsed(f"docker run {option} mcp/time@{DIGEST}").notes
    assert any(told in note for note in notes)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a.example", "https://", "https://u:p@a.example/", "https://a.example/#x"),
        *("https://a.example:99999/", "https://[::1", "https://a.example/ x", "a.example"),
        *("https://\u0430.example/", "https://a.example/\u202ex", "https://a.example/\n"),
    ],
)
def test_a_url_that_is_no_connectors_is_refused(url: str) -> None:
    with pytest.raises(LockError):
        parse_url(url)


def test_no_argument_of_the_program_is_in_an_error() -> None:
    with pytest.raises(LockError) as caught:
        parse_command(["bash", "-c", "TOKEN=hunter2 npx x"])
    assert "hunter2" not in str(caught.value)


def test_a_path_starts_where_the_configuration_lies(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("")
    for program, there in (("server.py", True), ("missing.py", False)):
        asked = parse_command(["python3", program])
        with contextlib.nullcontext() if there else pytest.raises(LockError, match="exist"):
            found = resolve(
                asked,
                folder=tmp_path,
                now=UnixTime(0),
                cooldown=NO_COOLDOWN,
                environment={},
            )
            assert (found.asked, found.packages, found.native_lock) == (asked, (), None)


def test_what_a_container_gets_is_a_warning_of_its_lock() -> None:
    asked = parsed("docker run --privileged mcp/time")
    found = resolve(
        asked, folder=Path(), now=UnixTime(0), cooldown=NO_COOLDOWN, environment={}
    )
    assert any("privileged" in each for each in found.warnings)
