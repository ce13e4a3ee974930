"""All rules of the scanner, by id."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.scan.rule import Rule
from bascule.scan.rules import (
    boundary,
    browser,
    configs,
    host,
    identity,
    probe,
    serving,
    sets,
    text,
)

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for area in (configs, host, probe, identity, browser, serving, text, sets, boundary)
    for rule in area.RULES
}
