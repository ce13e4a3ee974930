"""Moments as pages show them: UTC, which is the same for whoever looks."""

from __future__ import annotations

import datetime

from bascule.clock import UnixTime


def minute(time: UnixTime) -> str:
    """Write a moment to the minute."""
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def second(time: UnixTime) -> str:
    """Write a moment to the second."""
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def day(time: UnixTime | None) -> str:
    """Write the day of a moment; `never` for None."""
    return "never" if time is None else minute(time)[:10]
