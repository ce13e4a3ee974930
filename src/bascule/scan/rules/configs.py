"""Rules about client configurations."""

from __future__ import annotations

from bascule.scan.rule import Rule

RULES: tuple[Rule, ...] = ()
