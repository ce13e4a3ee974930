"""What a locked connector may touch when it runs, from its entry and this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bascule.app.lock_place import LockPlace
from bascule.app.secrets import is_reference
from bascule.launch.command import Command
from bascule.launch.sandbox.spec import MEMORY_BYTES, PROCESSES, SandboxSpec
from bascule.lock.entry_point import executable_argv
from bascule.lock.model import Build, Entry, LockError
from bascule.lock.runtime import FoundRuntime, find_runtime, platform_name

_OWN_FILES = (
    *("policies", "mcp.lock.json", "locks", "surfaces", "approvals"),
    *("allowed_signers", "audits.toml"),
)
"""Beside the configuration."""

_CODE = re.compile(
    "LD_.*|PATH|NODE_(OPTIONS|PATH)|PYTHON.*|GCONV_PATH|GLIBC_TUNABLES|BASH_ENV|ENV"
)
"""Variables by which code is chosen: Node.js runs what stands in `NODE_OPTIONS`."""


def refuse_hidden_code(name: str, environment: Mapping[str, str]) -> None:
    """Refuse a declared environment that chooses code by what nobody has approved.

    An approval binds references, not what they lead to. Raises `LockError`.
    """
    for variable, value in environment.items():
        if is_reference(value) and _CODE.fullmatch(variable):
            raise LockError(
                f"connector `{name}`: `env.{variable}` decides which code runs, so it must "
                "be approved: write its value in place of a reference"
            )


def spec_of(place: LockPlace, name: str, entry: Entry, command: Command) -> SandboxSpec:
    """Give one start of a locked connector: its interpreter compared, its tree hashed.

    `command` is what the configuration has, its secrets read. Raises `LockError`, and for
    a tree that is not what was locked `DriftedTreeError`.
    """
    refuse_hidden_code(name, entry.launch.env)
    build = build_of(name, entry)
    runtime = runtime_of(place, name, build)
    place.store.verify(build.tree)
    tree = place.store.path(build.tree.sha256)
    argv = executable_argv(entry.launch, runtime, tree)
    sandbox = entry.sandbox
    return SandboxSpec(
        connector=name,
        tree=tree,
        interpreter=Path(argv[0]),
        installation=runtime.reads,
        argv=argv,
        environment=command.environment,
        read=tuple(map(Path, sandbox.read)),
        write=tuple(map(Path, sandbox.write)),
        may_reach=sandbox.may_reach,
        private=place.config.network.private,
        # Keys, log, state and sockets; of the store the one tree is granted. And what says
        # who may do what, and what is approved.
        forbidden=(
            place.data_dir,
            place.config_path,
            *(place.folder / it for it in _OWN_FILES),
        ),
        scratch=place.data_dir / "stdio" / name,
        memory_bytes=sandbox.memory_bytes or MEMORY_BYTES,
        processes=sandbox.processes or PROCESSES,
    )


def build_of(name: str, entry: Entry) -> Build:
    """Give what this platform runs. Raises `LockError`."""
    build = entry.builds.get(platform_name())
    if build is None:
        raise LockError(
            f"connector `{name}` is not locked for {platform_name()}: run `bascule lock "
            f"{name}` here"
        )
    return build


def runtime_of(place: LockPlace, name: str, build: Build) -> FoundRuntime:
    """Find the interpreter that is locked. Raises `LockError` when it is another one."""
    wanted = build.runtime
    found = find_runtime(wanted.kind, place.environment, like=wanted, cache=place.runtimes)
    if found.runtime != wanted:
        raise LockError(
            f"connector `{name}` is locked with {wanted.kind} {wanted.version}, and this "
            f"machine has another one ({found.runtime.version}): install that, or run "
            f"`bascule lock {name}` and have it approved"
        )
    return found
