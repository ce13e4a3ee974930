"""Rules about what definitions say."""

from __future__ import annotations

from bascule.scan.rule import Rule

RULES: tuple[Rule, ...] = ()
