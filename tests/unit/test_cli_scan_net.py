"""`bascule scan net`: what is no network."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bascule.cli.main import main


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("https://bob:hunter2@x.example/?token=hunter2", "bascule scan url"),
        ("10.0.0.1/24", "name the network, 10.0.0.0/24, or the address alone, 10.0.0.1"),
        ("desk.internal.example", "no network such as"),
        ("0.0.0.0/0", "too many for one scan"),
    ],
)
def test_says_what_to_do_with_what_it_does_not_scan(named: str, said: str) -> None:
    result = CliRunner().invoke(main, ["scan", "net", named])
    assert result.exit_code == 2
    assert said in result.output
    assert "hunter2" not in result.output
