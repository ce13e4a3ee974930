"""What is matched in the bench is of the size that is said, and is found."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from bascule.bench.matching import matching


def test_every_second_advisory_about_a_locked_package_is_found(tmp_path: Path) -> None:
    moments = count()
    found = matching(
        lambda: float(next(moments)), tmp_path, packages=10, advisories=200, runs=3
    )
    assert (found.packages, found.advisories, found.matches) == (10, 200, 25)
    assert found.ms == 1000
