"""Events of a server process: logins, consents, tokens; on disk before they take effect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import UNSET

from bascule.audit.log import RECORD_VERSION
from bascule.audit.record import (
    AgentPart,
    AuthzPart,
    Record,
    SrcPart,
    UserPart,
    clip,
    encode,
)
from bascule.audit.writer import LogUnavailableError
from bascule.clock import new_id, system_micros

MAX_VALUE_CHARACTERS = 512
"""Of each value and name that a stranger may have chosen."""


class LeafSink(Protocol):
    """Where leaves go: the group commit of the audit log."""

    def append(self, leaf: bytes, on_durable: Callable[[bool], None] | None = None) -> None:
        """Take a leaf and say later, on the event loop, whether it is on disk.

        Raises `LogUnavailableError` when nothing can be taken.
        """


class Events:
    """Writes event records of one process; used on its event loop."""

    def __init__(
        self,
        sink: LeafSink,
        *,
        log: str,
        writer: str,
        boot: str,
        refuses: Callable[[], bool] = lambda: False,
    ) -> None:
        """`refuses` tells that records wait too long to be taken into the tree."""
        self._sink = sink
        self._log = log
        self._writer = writer
        self._boot = boot
        self._refuses = refuses

    async def record(
        self,
        type: str,
        *,
        admin: Mapping[str, str],
        peer: str,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
    ) -> None:
        """Write one record, durable on return; before what it tells takes effect.

        `user` is `user:NAME`, `admin` names and values without secrets. Raises
        `LogUnavailableError`: then it must not take effect.
        """
        if self._refuses():
            raise LogUnavailableError("records are not taken into the log")
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        record = self._record(
            type,
            peer,
            admin={
                name: clip(value, MAX_VALUE_CHARACTERS) for name, value in admin.items()
            },
            agent=UNSET
            if agent is None
            else AgentPart(
                client_id=clip(agent, MAX_VALUE_CHARACTERS), verified=agent_verified
            ),
            connector=connector or UNSET,
            user=UNSET if user is None else UserPart(sub=user.removeprefix("user:")),
        )
        self._sink.append(encode(record), lambda written: _settle(durable, written))
        if not await durable:
            raise LogUnavailableError("the record could not be written")

    def failed(self, peer: str, reason: str) -> None:
        """Hand in a failed authentication; nobody waits for it."""
        record = self._record(
            "auth.fail", peer, authz=AuthzPart(decision="deny", reason=reason)
        )
        with contextlib.suppress(LogUnavailableError):
            self._sink.append(encode(record))

    def _record(self, type: str, peer: str, **parts: object) -> Record:
        now = system_micros()
        return Record(
            boot=self._boot,
            id=new_id(now),
            log=self._log,
            src=SrcPart(ip=peer),
            stage="event",
            ts=now,
            type=type,
            v=RECORD_VERSION,
            writer=self._writer,
            **parts,  # type: ignore[arg-type]
        )


def _settle(future: asyncio.Future[bool], written: bool) -> None:
    """Tell the one who waits, unless it was cancelled meanwhile."""
    if not future.done():
        future.set_result(written)
