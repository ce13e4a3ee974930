"""The engine on definitions that others labelled, source by source.

Rows of a source say nothing about another one, so each is counted apart, with 95 % Wilson
intervals. Prints a table: run `pytest -s tests/shared`.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from bascule.scan.text.judge import judge

CORPUS = Path(__file__).parents[3] / "shared/data/dev_tools.jsonl"
FIELDS = ("name", "description", "input_schema")


@pytest.fixture(scope="module")
def judged() -> list[tuple[dict[str, Any], str]]:
    if not CORPUS.exists():
        pytest.skip("there is no corpus here")
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    # The engine sees what a server would send, and nothing of the labels.
    return [
        (row, judge({key: row[key] for key in FIELDS if key in row}).tier) for row in rows
    ]


def test_each_source_apart(judged: list[tuple[dict[str, Any], str]]) -> None:
    """Leave-one-source-out: there is no training, so each source stands for itself."""
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row, tier in judged:
        source = row["source"].split(":")[0]
        table[source, row["label"]][tier] += 1
        table["all", row["label"]][tier] += 1
        if row["class"] == "benign-imperative":
            table["benign-imperative", "benign"][tier] += 1
    for (source, label), tiers in sorted(table.items()):
        total = tiers.total()
        shown = [wilson(hits, total) for hits in (total - tiers["none"], tiers["block"])]
        print(f"{source:32} {label:10} n={total:4}  flag {shown[0]}  block {shown[1]}")
    benign, malicious = table["all", "benign"], table["all", "malicious"]
    assert malicious["none"] <= 0.4 * malicious.total()
    assert benign.total() - benign["none"] <= 0.02 * benign.total()
    assert benign["block"] <= 0.003 * benign.total()


def wilson(hits: int, total: int, z: float = 1.96) -> str:
    """Give a rate with its interval (Wilson 1927), in percent."""
    rate = hits / total
    centre = rate + z * z / (2 * total)
    reach = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    low, high = ((centre + it) / (1 + z * z / total) for it in (-reach, reach))
    return f"{100 * rate:5.1f} % [{100 * low:4.1f}–{100 * high:5.1f}]"  # noqa: RUF001
