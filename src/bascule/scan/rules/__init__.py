"""All rules of the scanner, by id."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.scan.rule import Rule
from bascule.scan.rules import boundary, configs, host, identity, probe, text

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for area in (configs, host, probe, identity, text, boundary)
    for rule in area.RULES
}
