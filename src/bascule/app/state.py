"""The data directory held by one process; records of what commands do."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from msgspec import UNSET

from bascule.app.files import lock_data_directory
from bascule.app.place import Place
from bascule.audit.log import append_command_record, settle
from bascule.audit.record import RECORD_VERSION, AgentPart, Record, user_part
from bascule.clock import new_id, system_entropy, system_micros


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[int]:
    """Hold the data directory for this process, by the descriptor that is given.

    Raises `AlreadyRunningError`.
    """
    descriptor = lock_data_directory(data_dir)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def os_user() -> str:
    """Say who runs this process, for records of what commands do.

    Whatever the environment says: one who gave another name could vote twice.
    """
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = "unknown"
    return f"{name} (uid {os.getuid()})"


def record_admin(
    place: Place,
    type: str,
    admin: dict[str, str],
    *,
    user: str | None,
    agent: str | None,
    connector: str | None,
) -> None:
    """Write one administrative record: durable on return. Raises `LogUnavailableError`."""

    def make(origin: str, writer: str, boot: str) -> Record:
        now = system_micros()
        return Record(
            admin=admin,
            agent=UNSET if agent is None else AgentPart(client_id=agent, verified=True),
            boot=boot,
            connector=connector or UNSET,
            id=new_id(now),
            log=origin,
            stage="event",
            ts=now,
            type=type,
            user=UNSET if user is None else user_part(user),
            v=RECORD_VERSION,
            writer=writer,
        )

    log, keys = place.log(), place.log_keys()
    inbox = log.inbox()
    try:
        append_command_record(log, inbox, keys, system_entropy, make)
        settle(log, inbox, keys)
    finally:
        inbox.close()
