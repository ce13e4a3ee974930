"""What policies say in vain, and hardly mean: warnings of `policy check`."""

from __future__ import annotations

from bascule.config.model import Config
from bascule.decision.entry_lints import entry_lints
from bascule.decision.flow_lints import flow_lints
from bascule.decision.policy_lints import policy_lints
from bascule.decision.problems import Problem
from bascule.decision.snapshot import Snapshot


def lints(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Give rules that never match, add nothing, never count, or are out of reach.

    What is said is certain as far as it is known what connectors serve: names count only
    where a surface is approved.
    """
    return [
        *entry_lints(config, snapshot.gates),
        *policy_lints(config, snapshot),
        *flow_lints(config, snapshot),
    ]
