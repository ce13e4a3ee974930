"""Calls that wait for a human in an installation, asked as its gateway asks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bascule.app.files import data_directory
from bascule.app.place import Place
from bascule.clock import system_clock, system_entropy
from bascule.config.load import load
from bascule.decision import consent
from bascule.decision.snapshot import build_snapshot
from bascule.storage import call_approvals
from bascule.storage.call_approvals import CallApproval, CallRequest
from bascule.storage.sealed_arguments import arguments_key, seal_arguments
from system.server import Installation

ARGUMENTS = {"path": "/srv/notes/canary.txt", "recursive": True}


def asked(
    made: Installation,
    rule: str = "default",
    *,
    user: str | None = "user:alice",
    agent: str = "desk-app",
    tool: str = "delete",
    arguments: Mapping[str, Any] = ARGUMENTS,
    definition: str = "",
) -> CallApproval:
    """Ask for one call under the rules of the installation's configuration."""
    config = load(made.config.read_text(), source="test")
    written = consent.written(arguments)
    named: dict[str, Any] = {
        "user": user,
        "agent": agent,
        "connector": "desk",
        "tool": tool,
        "definition": definition,
        "policy_digest": build_snapshot(config, {}).rights_digest,
        "arguments_digest": consent.digest_of(written),
        "rules": tuple(rule.split()),
    }
    binding = consent.binding_of(**named)
    place = Place(data_directory(made.data), config.server)
    name, key = system_entropy(16).hex(), arguments_key(place.sealing_key())
    work = partial(
        call_approvals.ask,
        request=CallRequest(**named, binding=binding),
        approval_id=name,
        sealed_arguments=seal_arguments(key, name, written, system_entropy),
        now=system_clock(),
    )
    try:
        found = place.open_state().run(work)
    finally:
        place.close()
    assert found is not None
    return found
