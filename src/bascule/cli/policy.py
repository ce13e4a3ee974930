"""`bascule policy`: what rights there are, tried out without starting anything."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bascule.cli.lazy import LazyGroup

COMMANDS: Mapping[str, str] = {
    "check": "policy_check:check",
    "test": "policy_test:test",
    "explain": "policy_explain:explain",
    "who-can": "policy_who_can:who_can",
    "simulate": "policy_simulate:simulate",
    "diff": "policy_diff:diff",
    "suggest": "policy_suggest:suggest",
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def policy() -> None:
    """Look at roles, ceilings, scopes and `.cedar` files."""
