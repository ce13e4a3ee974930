"""Rules about how a server knows who asks."""

from __future__ import annotations

from bascule.scan.rule import Rule

RULES: tuple[Rule, ...] = ()
