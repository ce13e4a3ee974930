"""The tree that is verified in the bench is of the size that is said."""

from __future__ import annotations

from pathlib import Path

from bascule.bench import verification
from bascule.bench.verification import verification_ms
from bascule.lock.tree import measure


def test_the_median_is_given_in_milliseconds() -> None:
    moments = iter([0, 1, 10, 12, 20, 29])
    assert verification_ms(lambda: next(moments), files=9, size=900, runs=3) == 2000


def test_the_tree_has_that_many_files_and_nearly_that_size(tmp_path: Path) -> None:
    verification.fill(tmp_path, 400, 2_500_000)
    tree = measure(tmp_path)
    assert tree.files == 400
    assert abs(tree.bytes - 2_500_000) < 25_000
