"""`bascule scan text` on labelled definitions: how many of them it tells apart.

The bounds are what the engine reaches, less a few rows. Whoever betters it raises them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bascule.cli.main import main

CORPUS = Path(__file__).parents[1] / "corpora" / "definitions.jsonl"
Row = dict[str, Any]
ROWS: list[Row] = [json.loads(line) for line in CORPUS.read_text().splitlines()]
JUDGED = ("name", "description", "input_schema")
"""What the engine is given of a row: nothing that tells the answer."""

FOUND = 0.23
BLOCKED = 0.09
FALSE_ALARMS = 0.025
FALSE_ALARMS_OF_ORDERS = 0.07
FALSE_ALARMS_OF_TWINS = 0.02
TOLD_APART = 0.3


def tiers(rows: Collection[Row], folder: Path) -> dict[str, str]:
    """Give the tiers of rows by their ids, as the command prints them."""
    file = folder / "definitions.jsonl"
    given = [{key: row[key] for key in JUDGED if key in row} for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in given))
    result = CliRunner().invoke(main, ["scan", "text", str(file), "--json"])
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert [it["name"] for it in printed] == [it["name"] for it in rows]
    assert all(it["rules"] for it in printed if it["tier"] != "none")
    return {row["id"]: it["tier"] for row, it in zip(rows, printed, strict=True)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiers(ROWS, tmp_path_factory.mktemp("corpus"))


def share(found: dict[str, str], of: Callable[[Row], bool], *counted: str) -> float:
    """Give the share of the rows of a kind whose tier is one of those counted."""
    kind = [found[row["id"]] for row in ROWS if of(row)]
    return sum(tier in counted for tier in kind) / len(kind)


def malicious(row: Row) -> bool:
    return bool(row["label"] == "malicious")


def benign(row: Row) -> bool:
    return bool(row["label"] == "benign")


def test_the_corpus_is_whole() -> None:
    assert len(ROWS) == len({row["id"] for row in ROWS}) == 594
    assert sum(map(malicious, ROWS)) == 174
    pairs = sorted((row["pair"], row["label"]) for row in ROWS if "pair" in row)
    assert len(pairs) == len(set(pairs)) == 2 * 92


def test_attacks_are_found(found: dict[str, str]) -> None:
    assert share(found, malicious, "flag", "block") >= FOUND
    assert share(found, malicious, "block") >= BLOCKED


def test_benign_definitions_are_left_alone(found: dict[str, str]) -> None:
    assert share(found, benign, "flag", "block") <= FALSE_ALARMS
    assert share(found, benign, "block") <= 0.003


def test_orders_to_the_model_are_no_attack_by_themselves(found: dict[str, str]) -> None:
    """Servers order the model about in good faith: that alone is no finding."""

    def orders(row: Row) -> bool:
        return bool(row["class"] == "benign-imperative")

    assert share(found, orders, "flag", "block") <= FALSE_ALARMS_OF_ORDERS
    assert share(found, orders, "block") == 0


def test_attacks_are_told_from_their_safe_twins(found: dict[str, str]) -> None:
    pairs: dict[str, dict[str, bool]] = {}
    for row in ROWS:
        if "pair" in row:
            pairs.setdefault(row["pair"], {})[row["label"]] = found[row["id"]] != "none"
    apart = sum(pair["malicious"] and not pair["benign"] for pair in pairs.values())
    wrong = sum(pair["benign"] for pair in pairs.values())
    assert apart / len(pairs) >= TOLD_APART
    assert wrong / len(pairs) <= FALSE_ALARMS_OF_TWINS


def test_a_verdict_does_not_depend_on_the_rows_beside_it(
    found: dict[str, str], tmp_path: Path
) -> None:
    some = ROWS[::-3]
    assert tiers(some, tmp_path) == {row["id"]: found[row["id"]] for row in some}
