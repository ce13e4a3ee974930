"""Rules about who reaches a connector, and what it reaches."""

from __future__ import annotations

from bascule.scan.rule import Rule

RULES: tuple[Rule, ...] = ()
