"""What `bascule bench` looks for, and what it says when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.bench.tools import MissingToolError, Tools, find_tools, packaged_envoy
from bascule.errors import BasculeError


def programs(folder: Path, *names: str) -> str:
    """Make a folder of commands and give it as a PATH."""
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_without_wrk_there_is_no_run_and_the_remedy_is_told(tmp_path: Path) -> None:
    path = programs(tmp_path, "envoy", "nginx")
    with pytest.raises(MissingToolError, match="apt-get install wrk"):
        find_tools(path, packaged="/opt/envoy")


def test_without_envoy_there_is_no_run_and_the_remedy_is_told(tmp_path: Path) -> None:
    path = programs(tmp_path, "wrk", "nginx")
    with pytest.raises(MissingToolError, match=r"pip install 'bascule\[bench\]'"):
        find_tools(path, packaged=None)


def test_what_is_missing_is_an_error_of_ours_so_that_the_command_exits_3() -> None:
    assert issubclass(MissingToolError, BasculeError)


def test_an_envoy_beside_the_interpreter_is_preferred_to_one_on_path(
    tmp_path: Path,
) -> None:
    path = programs(tmp_path, "wrk", "envoy")
    assert find_tools(path, packaged="/opt/envoy").envoy == "/opt/envoy"
    assert find_tools(path, packaged=None).envoy == f"{tmp_path}/envoy"


def test_all_that_is_on_path_is_found(tmp_path: Path) -> None:
    path = programs(tmp_path, "wrk", "envoy", "nginx", "taskset")
    found = find_tools(path, packaged=None)
    assert found == Tools(
        f"{path}/wrk", f"{path}/envoy", f"{path}/nginx", f"{path}/taskset"
    )


def test_the_wheel_of_the_extra_brings_a_binary_that_is_found() -> None:
    found = packaged_envoy()
    assert found is not None
    assert Path(found).read_bytes()[:4] == b"\x7fELF"
