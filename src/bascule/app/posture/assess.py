"""All controls, promise by promise, of what was gathered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bascule.app.boundaries import Standing
from bascule.app.posture.boundaries import reach_control
from bascule.app.posture.connectors import approved_controls, placed_controls
from bascule.app.posture.control import Control, State, Subject
from bascule.app.posture.definitions import Said, definitions_control
from bascule.app.posture.identities import Owner, identity_controls
from bascule.app.posture.live import Running, live_controls
from bascule.app.posture.log import log_controls
from bascule.app.posture.rights import rights_controls
from bascule.app.secrets import ReadSecret
from bascule.app.verifying import Verified
from bascule.audit.verify import Verdict
from bascule.config.model import Config
from bascule.decision.snapshot import Snapshot
from bascule.lock.model import Entry

SHADOW = Subject(
    "bounded",
    "shadow",
    "no MCP server runs on this host that nobody knows",
    "`bascule scan host`, run by `bascule posture --scan`",
    "`bascule scan host` names each: stop it, or give it to Bascule with `bascule add`",
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What probes found, and what they could not look at."""

    config: Config
    snapshot: Snapshot
    tests: tuple[State, str]
    """Whether the cases of `policies/tests` come out as expected, and a sentence."""
    owner: Owner | None
    read_secret: ReadSecret
    verified: Sequence[Verified]
    entries: Mapping[str, Entry]
    log: Verdict | None
    running: Running | None
    not_running: str = ""
    """Why nobody could be asked."""
    shadows: Sequence[str] | None = None
    """A sentence for each server that nobody knows; None when nobody looked."""
    boundaries: Mapping[str, Standing] | None = None
    """How each connector stands to its boundary; None where there is no state."""
    said: Said | None = None
    """What approved definitions say that they should not; None where there is no state."""


def controls(it: Gathered) -> Iterator[Control]:
    """Judge every control."""
    start = "start the server: `bascule up`" if it.config.connectors else ""
    tokens, shown, strict = live_controls(it.running, it.not_running, start)
    yield from (tokens, shown)
    yield from identity_controls(it.config, it.snapshot, it.owner, it.read_secret)
    yield from rights_controls(it.config, it.snapshot, it.tests)
    yield strict
    yield from approved_controls(it.snapshot.gates, it.verified)
    yield definitions_control(it.said)
    yield from placed_controls(it.config, it.entries)
    yield reach_control(it.boundaries, it.config.boundary.every_minutes)
    if it.shadows is None:
        yield SHADOW.unseen("this host was not scanned", "run `bascule posture --scan`")
    else:
        yield SHADOW.judged(it.shadows)
    yield from log_controls(it.config, it.log)
