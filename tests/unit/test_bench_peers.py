"""Configurations of the peers, read by the peers themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bascule.bench import peers
from bascule.bench.targets import envoy_command
from bascule.bench.tools import find_tools, packaged_envoy
from bascule.clock import UnixTime

ENVOYS: dict[str, Callable[[Path], bytes]] = {
    "raw": lambda _: peers.envoy_raw(port=10001, upstream=10002),
    "full": lambda folder: peers.envoy_full(
        port=10001,
        upstream=10002,
        jwks=peers.envoy_credentials(UnixTime(0), 600)[1],
        access_log=folder / "log",
    ),
}


@pytest.mark.parametrize("name", ENVOYS)
def test_envoy_accepts_its_configuration(name: str, tmp_path: Path) -> None:
    envoy = packaged_envoy()
    assert envoy is not None
    path = tmp_path / "envoy.json"
    path.write_bytes(ENVOYS[name](tmp_path))
    command = [*envoy_command(envoy, path), "--mode", "validate"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    nginx = find_tools("/usr/bin:/bin:/usr/local/bin", packaged="unused").nginx
    assert nginx is not None
    path = tmp_path / "nginx.conf"
    path.write_text(peers.nginx_raw(tmp_path, port=10001, upstream=10002))
    command = [nginx, "-t", "-c", str(path), "-p", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_envoy_is_not_given_the_private_key() -> None:
    _, jwks = peers.envoy_credentials(UnixTime(0), 600)
    assert set(jwks["keys"][0]) <= {"kty", "n", "e", "kid", "use", "alg"}
