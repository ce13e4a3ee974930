"""Rules about what runs and listens on a host."""

from __future__ import annotations

from bascule.scan.rule import Rule

RULES: tuple[Rule, ...] = ()
