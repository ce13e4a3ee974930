"""The log: whole, and its checkpoints elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.app.posture.control import Control, Subject
from bascule.audit.verify import Verdict
from bascule.config.model import Config

WHOLE = Subject(
    "traced",
    "log",
    "the log is whole",
    "every record was hashed anew, as `bascule audit verify` does",
    "keep the data directory as it is, and find out who wrote to it",
)
COPIES = Subject(
    "traced",
    "copies",
    "checkpoints leave this machine",
    "configuration",
    "set `audit.copies` to a folder that this machine cannot rewrite",
)


def log_controls(config: Config, verdict: Verdict | None) -> Iterator[Control]:
    """Judge the log; `verdict`: None where there is none yet."""
    if verdict is None:
        yield WHOLE.unseen("there is no log yet", "start the server: `bascule up`")
    else:
        yield WHOLE.judged(verdict.problems if not verdict.ok else ())
    yield COPIES.judged([] if config.audit.copies else ["`audit.copies` names no place"])
