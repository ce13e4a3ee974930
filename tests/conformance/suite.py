"""The official conformance suite as a function: from a server's URL to what it found."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conformance.rig import PACKAGES, SCRIPTS, node

PROGRAM = PACKAGES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
EXCEPTIONS = Path(__file__).parent / "exceptions.toml"
REVISIONS = {"2025-03-26": 1, "2025-06-18": 27, "2025-11-25": 30, "2026-07-28": 37}
"""Scenarios of a server at each revision: those that it requires, where that is frozen."""
FROZEN = frozenset({"2025-11-25", "2026-07-28"})
"""Revisions for which the suite knows what is required; of others all scenarios count."""
_FOLDER = re.compile(r"server-(.*)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of the suite found, scenario by scenario."""

    checks: Mapping[str, Mapping[str, str]]
    """By scenario: the status of each check by its id, the worst where one ran twice."""

    @property
    def failing(self) -> set[str]:
        """Scenarios that do not pass, those where nothing was checked among them."""
        return {name for name, checks in self.checks.items() if not _passes(checks)}

    @property
    def passing(self) -> set[str]:
        """All other scenarios."""
        return set(self.checks) - self.failing


@cache
def required(revision: str) -> frozenset[str]:
    """Give the scenarios that a revision requires of a server."""
    what = "--requirements" if revision in FROZEN else "--spec-version"
    found = node(PROGRAM, "list", "--server", what, revision).stdout
    servers = found.partition("Server scenarios")[2].partition("Client scenarios")[0]
    return frozenset(re.findall(r"^ +- (\S+)", servers, re.MULTILINE))


def exceptions(revision: str, variant: str = "") -> Mapping[str, str]:
    """Give the scenarios that are known to fail, each with its reason.

    With a `variant`, those that fail beside them when Bascule is run in that way.
    """
    found = tomllib.loads(EXCEPTIONS.read_text())
    of_variant: Mapping[str, Mapping[str, str]] = found["variants"].get(variant, {})
    return dict((of_variant if variant else found).get(revision, {}))


def run(url: str, revision: str, folder: Path, *, token: str | None = None) -> Report:
    """Run everything that is there for a revision against a server.

    The suite has no option for a token: a module that Node.js loads first adds it.
    """
    bearer = {
        "NODE_OPTIONS": f"--import {SCRIPTS / 'bearer.mjs'}",
        "BEARER_FOR": str(PROGRAM),
        "BEARER_ORIGIN": url.removesuffix("/" + url.split("/", 3)[3]),
    }
    environment = {} if token is None else {**bearer, "BEARER_TOKEN": token}
    everything = ("--suite", "all", "--spec-version", revision)
    selected = ("--requirements", revision) if revision in FROZEN else everything
    options = ("server", "--url", url, *selected, "-o", str(folder))
    ended = node(PROGRAM, *options, environment=environment)
    found = {}
    for path in folder.iterdir():
        name = _FOLDER.fullmatch(path.name)
        if name is not None:
            checks = path / "checks.json"
            # A scenario that broke off has none.
            found[name[1]] = (
                worst(json.loads(checks.read_text())) if checks.exists() else {}
            )
    assert required(revision) <= set(found), ended.stderr
    return Report(found)


def outward_exceptions() -> frozenset[str]:
    """Give the scenarios of clients that are known to fail through a gateway."""
    return frozenset(tomllib.loads(EXCEPTIONS.read_text())["outward"])


def _passes(checks: Mapping[str, str]) -> bool:
    found = set(checks.values())
    return "SUCCESS" in found and found <= {"SUCCESS", "INFO"}


def worst(checks: list[Mapping[str, str]]) -> Mapping[str, str]:
    """Give the worst status of each check by its id."""
    found: dict[str, str] = {}
    for check in checks:
        if found.get(check["id"], "SUCCESS") in {"SUCCESS", "INFO"}:
            found[check["id"]] = check["status"]
    return found
