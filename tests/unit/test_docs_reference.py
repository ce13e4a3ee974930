"""Documentation that is made from code is as new as the code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from bascule.config.documentation import descriptions
from bascule.config.json_schema import json_schema
from bascule.config.reference import reference_page
from bascule.scan.clients_page import clients_page
from bascule.scan.rules_page import rules_page

ROOT = Path(__file__).parents[2]
SETTINGS = [
    (table, key)
    for table, schema in json_schema()["$defs"].items()
    for key in schema["properties"]
]


def test_the_configuration_page_is_what_make_docs_writes() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    assert page == reference_page()


def test_the_page_of_rules_is_what_make_docs_writes() -> None:
    page = (ROOT / "docs" / "reference" / "scan-rules.md").read_text()
    assert page == rules_page(), "run `make docs`"


def test_the_clients_page_is_what_make_docs_writes() -> None:
    page = (ROOT / "docs" / "reference" / "clients.md").read_text()
    assert page == clients_page()


@pytest.mark.parametrize(("table", "key"), SETTINGS)
def test_every_setting_says_what_it_means(table: str, key: str) -> None:
    assert descriptions()[table].get(key, "").endswith(".")


@pytest.mark.parametrize("table", sorted({table for table, _ in SETTINGS} - {"Config"}))
def test_every_table_says_where_it_stands(table: str) -> None:
    assert json_schema()["$defs"][table]["description"].startswith("`[")


def test_every_runtime_dependency_has_its_line() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    table = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    required = {
        line.partition(">")[0].partition(";")[0]
        for line in project["project"]["dependencies"]
    }
    documented = {
        line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")
    }
    assert required <= documented
    assert documented - required == {"package"}
