"""Lengths of time on the command line: `30m`, `4h`, `7d`."""

from __future__ import annotations

import re

import click

_UNITS = {"d": 86_400, "h": 3600, "m": 60}


def seconds_of(text: str, *, option: str) -> int:
    """Read a number and `d`, `h` or `m`. Raises `click.BadParameter`."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([dhm])", text)
    if match is None:
        raise click.BadParameter("is a number and d, h or m: 90d", param_hint=option)
    return int(match[1]) * _UNITS[match[2]]


def duration(seconds: int) -> str:
    """Write a length as it would be read, in the largest unit that divides it."""
    for letter, unit in _UNITS.items():
        if seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"
