"""Pages that describe the code say all that there is."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path
from typing import get_args

from bascule.cli.scan_options import FORMATS
from bascule.cli.schemas import schema_of
from bascule.decision.facts import Reason
from bascule.decision.model import SCHEMA
from bascule.decision.policy_files import GENERATED
from bascule.decision.words import ARGUMENTS_UNKNOWN
from bascule.gateway import answers
from bascule.protocol import message
from bascule.scan.baseline import read_baseline
from bascule.scan.rule import SEVERITIES
from bascule.scan.server import Auth, State, Transport

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
HTTP = (DOCS / "reference" / "http.md").read_text()
BELOW_SOURCE = re.compile(r"`([a-z0-9_]+/[a-z0-9_/]+\.py)`")


def codes_of(module: object) -> set[int]:
    """Give a module's constants that can be JSON-RPC codes or HTTP statuses."""
    numbers = {value for value in vars(module).values() if type(value) is int}
    return {it for it in numbers if it <= -32000 or 400 <= it < 600}


def test_the_index_leads_to_every_folder_of_pages() -> None:
    index = (DOCS / "README.md").read_text()
    folders = {page.parent.name for page in DOCS.glob("*/*.md")}
    assert {folder for folder in folders if f"({folder})" not in index} == set()


def test_the_page_on_http_has_every_code_that_is_answered() -> None:
    written = HTTP.replace("\N{MINUS SIGN}", "-")
    rows = [row.split("|") for row in written.splitlines() if row.startswith("| ")]
    codes = {int(row[2]) for row in rows if re.fullmatch(r" -?\d+ ", row[2])}
    answered = codes_of(answers) | codes_of(message)
    # Ours to read only: servers send them, and they pass as the server's.
    answered -= {message.INTERNAL_ERROR}
    assert answered <= codes
    assert codes - answered == {401, 403, 500}


def test_codes_of_our_own_lie_outside_what_json_rpc_reserves() -> None:
    ours = codes_of(answers) - codes_of(message)
    assert ours
    assert [code for code in ours if -32768 <= code <= -32000] == []


def test_every_file_that_the_architecture_names_exists() -> None:
    named = BELOW_SOURCE.findall(ARCHITECTURE)
    assert len(named) > 30
    places = (ROOT, ROOT / "src" / "bascule")
    assert [it for it in named if not any((place / it).exists() for place in places)] == []


def test_every_layer_stands_in_the_architecture() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = project["tool"]["importlinter"]["contracts"][0]
    layers = re.findall(r"\w+", " ".join(contract["layers"]))
    there = {it for it in layers if (ROOT / "src" / "bascule" / it).is_dir()}
    table = ARCHITECTURE.partition("| layer |")[2].partition("\n\n")[0]
    assert {layer for layer in there if f"`{layer}`" not in table} == set()


def test_the_architecture_has_the_steps_that_the_code_has() -> None:
    gateway = ROOT / "src" / "bascule" / "gateway"
    names = "call.py", "arrival.py", "forward.py"
    source = "\n".join((gateway / name).read_text() for name in names)
    comments = " ".join(re.findall(r"# (\d.*)", source))
    steps = {int(number) for number in re.findall(r"\d+(?=\.)", comments)}
    rows = {
        int(number) for number in re.findall(r"^\| (\d+) \|", ARCHITECTURE, re.MULTILINE)
    }
    assert steps == rows == set(range(1, 14))


def test_the_page_on_policies_has_every_reason_and_the_whole_entity_model() -> None:
    page = (DOCS / "reference" / "policies.md").read_text()
    reasons = re.findall(
        r"^\| `([a-z_]+)` \|", page.partition("### Reasons")[2], re.MULTILINE
    )
    assert sorted(reasons) == sorted([*Reason, ARGUMENTS_UNKNOWN])
    model = page.partition("### Entities")[2].partition("### Calls")[0]
    for entity in re.findall(r"entity ([\w, ]+?)(?: in|;)", SCHEMA):
        for name in entity.split(", "):
            assert f"Mcp::{name}" in model or f"`{name}`" in model, name
    for attribute in re.findall(r"\b([a-z_]+)\??: [A-Z]?\w+", SCHEMA):
        if attribute not in {"principal", "resource", "context"}:
            assert f"`{attribute}`" in model, attribute
    assert all(f"| `{prefix}" in page for prefix in GENERATED)


def test_the_page_on_reports_of_scans_has_every_field_and_word() -> None:
    page = (DOCS / "reference" / "scan-report.md").read_text()
    schema = schema_of("scan") or {}
    fields = {it for table in schema["$defs"].values() for it in table["properties"]}
    words = {*get_args(State), *get_args(Auth), *get_args(Transport), *SEVERITIES}
    assert {it for it in fields | words if f"`{it}`" not in page} == set()
    assert {f"`--{it} FILE`" for it in FORMATS if f"`--{it} FILE`" not in page} == set()


def test_the_example_of_a_baseline_is_one() -> None:
    page = (DOCS / "reference" / "scan-report.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    today = datetime.date(2026, 11, 30)
    assert len(read_baseline(text, source="page", today=today)) == 1
