"""What stops `bascule scan` before it asks anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.cli.main import main


@pytest.mark.parametrize("words", [("scan",), ("scan", "host")])
@pytest.mark.parametrize("content", [None, "not = [toml"])
def test_a_configuration_that_was_named_must_be_there_and_be_right(
    tmp_path: Path, words: tuple[str, ...], content: str | None
) -> None:
    path = tmp_path / "bascule.toml"
    if content is not None:
        path.write_text(content)
    result = CliRunner().invoke(main, [*words, "--config", str(path)])
    assert result.exit_code == 3
    assert str(path) in result.stderr


@pytest.mark.parametrize("option", [("--json",), ("--fail-on", "high"), ("--rate", "3")])
def test_options_stand_behind_the_command(option: tuple[str, ...]) -> None:
    """In front of it they would be for the bare scan, and silently have no effect."""
    result = CliRunner().invoke(main, ["scan", *option, "host"])
    assert result.exit_code == 2
    assert f"put {option[0]} behind `host`" in result.stderr


@pytest.mark.parametrize("listen", ["nonsense", "host", "1.2.3.4:99999"])
def test_a_vantage_point_listens_at_a_host_and_port(listen: str) -> None:
    words = ["scan", "vantage", "--listen", listen, "--paired-key", "x"]
    assert CliRunner().invoke(main, words).exit_code == 2


@pytest.mark.parametrize("key", ["", "x", "ssh-rsa AAAA", "ssh-ed25519 AAAA", "AAAA"])
def test_a_vantage_point_is_paired_with_a_key(tmp_path: Path, key: str) -> None:
    words = ["scan", "vantage", "--listen", "127.0.0.1:0", "--paired-key", key]
    result = CliRunner().invoke(main, [*words, "--state", str(tmp_path)])
    assert result.exit_code == 3
    assert "--paired-key is no key" in result.stderr
    assert list(tmp_path.iterdir()) == []
