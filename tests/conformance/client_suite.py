"""The official suite against clients: it plays the servers, and runs a program of ours."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from pathlib import Path

from conformance.rig import ROOT, node
from conformance.suite import PROGRAM, Report, worst

SCENARIO_SECONDS = 60
_FOLDER = re.compile(r"(.*)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")
_LISTED = re.compile(r"^ +- (\S+)", re.MULTILINE)


@cache
def required(revision: str) -> frozenset[str]:
    """Give the scenarios that a revision requires of a client."""
    found = node(PROGRAM, "list", "--client", "--requirements", revision).stdout
    clients = found.partition("Client scenarios")[2].partition("Run and reported")[0]
    return frozenset(_LISTED.findall(clients))


def run(client: Path, options: list[str], folder: Path, **environment: str) -> Report:
    """Run scenarios with a program as the client; `options` say which."""
    ended = node(
        PROGRAM,
        *("client", "--command", f"{sys.executable} {client}"),
        *("--timeout", str(1000 * SCENARIO_SECONDS), "-o", str(folder)),
        *options,
        environment={**os.environ, "PYTHONPATH": str(ROOT / "tests"), **environment},
    )
    found = {}
    for checks in folder.rglob("checks.json"):
        name = _FOLDER.fullmatch(str(checks.parent.relative_to(folder)))
        assert name is not None
        found[name[1]] = worst(_exercised(json.loads(checks.read_text())))
    assert found, ended.stderr
    return Report(found)


def _exercised(checks: list[dict[str, str]]) -> list[dict[str, str]]:
    """Leave out what a check was skipped for, where it was made for something else."""
    made = {it["id"] for it in checks if it["status"] != "SKIPPED"}
    return [it for it in checks if it["status"] != "SKIPPED" or it["id"] not in made]
