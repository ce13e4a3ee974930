"""Package managers that hang, and what is passed on of their words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bascule.lock.model import LockError
from bascule.lock.resolver import complaint, run
from bascule.lock.uv_output import read_pylock, read_requirements, yanked
from patience import until

HASH = "sha256:" + "ab" * 32


def test_a_package_manager_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path,
) -> None:
    started = tmp_path / "started"
    with pytest.raises(LockError, match="did not end within 3 seconds"):
        run(
            ["sh", "-c", "sleep 600 & echo $! > started; wait"],
            folder=tmp_path,
            environment=os.environ,
            seconds=3,
        )
    child = int(started.read_text())
    until(lambda: not Path(f"/proc/{child}").exists() or is_dead(child))


def is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_package_manager_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="cannot run `npm`"):
        run([str(tmp_path / "npm")], folder=tmp_path, environment={})


def test_no_credential_is_passed_on() -> None:
    told = complaint(
        "npm error code E401\n"
        "npm error at https://alice:hunter2@npm.example/x\n"
        "npm error //npm.example/:_authToken=hunter2 password: hunter2\n"
        "npm error A complete log of this run can be found in: /home/x/log\n"
    )
    assert "hunter2" not in told
    assert "complete log" not in told
    assert told.startswith("code E401; at https://npm.example/x")


def test_the_newest_fitting_wheel_is_chosen_whatever_the_order() -> None:
    files = ["x-1-cp39-abi3-manylinux_2_28_x86_64.whl", "x-1-py3-none-any.whl"]
    files += [
        "x-1-cp311-abi3-manylinux_2_34_x86_64.whl",
        "x-1-cp311-abi3-manylinux_2_9_x86_64.whl",
    ]
    for each in (files, files[::-1]):
        wheels = ", ".join(
            f'{{ url = "https://a.example/{name}", hashes = {{ sha256 = "{"0" * 64}" }} }}'
            for name in each
        )
        text = f'[[packages]]\nname = "x"\nversion = "1"\nwheels = [{wheels}]\n'
        (chosen,) = read_pylock(text)
        assert chosen.artifact.filename == "x-1-cp311-abi3-manylinux_2_34_x86_64.whl"
        assert chosen.published_at == ""


def test_a_package_without_a_hash_is_refused() -> None:
    with pytest.raises(LockError, match="no SHA-256 for `x`"):
        read_requirements("x==1\n    # via -r asked.txt\n")
    pins, native = read_requirements(
        f"x==1 \\\n    --hash={HASH}\n    # via -r asked.txt\n    # from https://a.example\n"
    )
    assert (pins[0].hashes, pins[0].via, pins[0].index) == ([HASH], [], "https://a.example")
    assert "://" not in native


def test_a_reason_for_withdrawing_is_read() -> None:
    told = 'warning: `A_b==1.0` is yanked (reason: "leaks")\nwarning: `c==2` is yanked\n'
    assert yanked(told) == {("a-b", "1.0"): "leaks", ("c", "2"): "yes"}


@pytest.mark.parametrize(
    "file",
    [
        "x-1-py3-none-..%2f..%2fevil.whl",
        "x-1-py3-none-any.whl%0a",
        "x.whl",
        "..",
        "",
    ],
)
def test_a_file_that_has_no_name_of_a_wheel_is_refused(file: str) -> None:
    wheel = f'{{ url = "https://a.example/{file}", hashes = {{ sha256 = "{"0" * 64}" }} }}'
    with pytest.raises(LockError):
        read_pylock(f'[[packages]]\nname = "x"\nversion = "1"\nwheels = [{wheel}]\n')
