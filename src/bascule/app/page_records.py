"""What pages do, written into the log of the process that serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import UNSET

from bascule.audit.record import (
    RECORD_VERSION,
    AgentPart,
    AuthzPart,
    Record,
    SrcPart,
    encode,
    user_part,
)
from bascule.audit.writer import LogUnavailableError, Writer
from bascule.clock import new_id, system_micros
from bascule.gateway.failures import AuthFailures


class PageRecords:
    """Writes records of pages; used on the event loop of its process."""

    def __init__(
        self, sink: Writer, failures: AuthFailures, *, log: str, writer: str, boot: str
    ) -> None:
        """`failures` is shared with the data path: one budget for each address."""
        self._sink = sink
        self._failures = failures
        self._log = log
        self._writer = writer
        self._boot = boot

    async def event(
        self,
        type: str,
        *,
        peer: str | None,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
        admin: Mapping[str, str] | None = None,
    ) -> None:
        """Write that something is about to happen; see `Records`."""
        record = self._record(
            type,
            peer=peer,
            user=user,
            agent=None
            if agent is None
            else AgentPart(client_id=agent, verified=agent_verified),
            connector=connector,
            admin=None if admin is None else dict(admin),
            authz=None,
        )
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def tell(written: bool) -> None:
            if not durable.done():
                durable.set_result(written)

        self._sink.append(encode(record), tell)
        if not await durable:
            raise LogUnavailableError("the record could not be written")

    def failed(self, reason: str, *, peer: str, user: str | None = None) -> bool:
        """Note a failed authentication; see `Records`."""
        in_full, too_many = self._failures.count(peer)
        if in_full:
            authz = AuthzPart(decision="deny", reason=reason)
            record = self._record("auth.fail", peer=peer, user=user, authz=authz)
            self._sink.append(encode(record))
        return too_many

    def _record(
        self,
        type: str,
        *,
        peer: str | None,
        user: str | None,
        authz: AuthzPart | None,
        agent: AgentPart | None = None,
        connector: str | None = None,
        admin: dict[str, str] | None = None,
    ) -> Record:
        now = system_micros()
        return Record(
            admin=UNSET if admin is None else admin,
            agent=UNSET if agent is None else agent,
            authz=UNSET if authz is None else authz,
            boot=self._boot,
            connector=connector or UNSET,
            id=new_id(now),
            log=self._log,
            src=UNSET if peer is None else SrcPart(ip=peer),
            stage="event",
            ts=now,
            type=type,
            user=UNSET if user is None else user_part(user),
            v=RECORD_VERSION,
            writer=self._writer,
        )
