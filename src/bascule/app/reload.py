"""Reload: a new configuration for all workers, or for none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bascule.app import state
from bascule.app.approval_news import ApprovalNews, ApprovalNotices
from bascule.app.follow import POLL_SECONDS
from bascule.app.grant_news import GrantNews
from bascule.app.load import Loaded, Sources, load, require_same_server, with_state
from bascule.app.place import Place
from bascule.app.rights_summary import RightsChanges
from bascule.app.shadow import shadow_files
from bascule.app.timers import Timer
from bascule.clock import system_clock
from bascule.config.model import Config
from bascule.decision.snapshot import Gates, Grants, with_gates, with_grants
from bascule.decision.typed_policies import argument_problems
from bascule.decision.widening import widenings
from bascule.errors import BasculeError
from bascule.lock.lock_file import LOCK_NAME

log = logging.getLogger("bascule")

WATCH_SECONDS = 0.5
NOTICE_SECONDS = 1.0
MAX_WIDENINGS = 40
"""Named in one record; how many more there are is said."""


class Reloadable(Protocol):
    """What takes up configurations in two steps."""

    async def prepare(self, loaded: Loaded) -> None:
        """Make what a new configuration needs, and change nothing.

        Raises `BasculeError`.
        """

    def commit(self) -> None:
        """Put what was prepared into force."""

    def approve(self, gates: Gates) -> None:
        """Put into force what is approved of the configuration in force."""


class Reloading:
    """Loads the configuration anew when asked, or when its files change."""

    def __init__(
        self,
        sources: Sources,
        place: Place,
        loaded: Loaded,
        targets: Sequence[Reloadable],
        grant: Callable[[Grants], None],
        *,
        watch: bool,
    ) -> None:
        """`grant`: puts grants into force beside the configuration in force."""
        self._sources = sources
        self._place = place
        self._loaded = loaded
        self._targets = targets
        self._watch = watch
        self._grant = grant
        self._approvals = ApprovalNews(sources, place)
        self._grants = GrantNews(place)
        self._notices = ApprovalNotices(place)
        self._changes = RightsChanges(place, sources.config_path)
        self._seen = self._settled = self._look()
        self._asked = asyncio.Event()

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while there may be a reload."""
        watching = [Timer(WATCH_SECONDS, self._watch_files)] if self._watch else []
        return [
            Timer(0, self._reload_when_asked),
            Timer(POLL_SECONDS, self._follow_approvals),
            Timer(POLL_SECONDS, self._follow_grants),
            Timer(NOTICE_SECONDS, self._notice),
            *watching,
        ]

    def config(self) -> Config:
        """Give the configuration that is in force."""
        return self._loaded.config

    def ask(self) -> None:
        """Have the configuration loaded anew, soon."""
        self._asked.set()

    async def _reload_when_asked(self) -> None:
        await self._asked.wait()
        self._asked.clear()
        try:
            await self._reload()
        except (BasculeError, OSError) as exc:  # no file could be opened, for instance
            log.error("reload refused, the old configuration stays: %s", exc)

    async def _reload(self) -> None:
        loaded = await asyncio.to_thread(self._load)
        require_same_server(self._loaded.config, loaded.config)
        for target in self._targets:
            await target.prepare(loaded)
        await asyncio.to_thread(self._record, loaded)
        for target in self._targets:
            target.commit()
        self._changes.tell(self._loaded, loaded)
        self._loaded = loaded
        self._approvals.look_again()  # it may be different since this was loaded
        self._grants.look_again()
        log.warning("configuration reloaded, policies %s", loaded.snapshot.digest[:16])

    def _load(self) -> Loaded:
        loaded = load(self._sources)
        return with_state(loaded, self._sources, self._place, now=system_clock())

    async def _follow_approvals(self) -> None:
        """Put approvals and rejections into force, whatever the other files say."""
        loaded = self._loaded
        gates = await self._approvals.fresh(loaded, system_clock())
        if gates is None:
            return
        if self._loaded is not loaded:
            self._approvals.look_again()
            return
        self._loaded = replace(loaded, snapshot=with_gates(loaded.snapshot, gates))
        for target in self._targets:
            target.approve(gates)
        for it in await asyncio.to_thread(argument_problems, self._loaded.snapshot):
            # What a policy cannot read it denies, so this is for those who wonder why.
            log.warning("policies: %s", it.message)
        log.warning(
            "approvals have changed, policies %s", self._loaded.snapshot.digest[:16]
        )

    async def _follow_grants(self) -> None:
        """Put into force what was granted, and end what was ended."""
        loaded = self._loaded
        grants = await self._grants.fresh(loaded.snapshot.grants, system_clock())
        if grants is None:
            return
        snapshot = with_grants(self._loaded.snapshot, grants)
        self._loaded = replace(self._loaded, snapshot=snapshot)
        self._grant(grants)
        log.info("grants have changed, %d are in force", len(grants))

    async def _notice(self) -> None:
        gates, now = self._loaded.snapshot.gates, system_clock()
        await asyncio.to_thread(self._notices.tell, gates, now)

    def _record(self, loaded: Loaded) -> None:
        before = self._loaded
        wider = widenings(before.config, before.policies, loaded.config, loaded.policies)
        more = len(wider) - MAX_WIDENINGS
        named = [*wider[:MAX_WIDENINGS], *([f"and {more} more"] if more > 0 else [])]
        state.record_admin(
            self._place,
            "policy.reload",
            {
                "before": before.snapshot.digest,
                "after": loaded.snapshot.digest,
                "config": loaded.snapshot.config_digest,
                **_shadowed(loaded),
                **({"widens": "; ".join(named)} if named else {}),
            },
            user=None,
            agent=None,
            connector=None,
        )

    async def _watch_files(self) -> None:
        """Ask for a reload once files have changed, and then stayed the same for a look."""
        try:
            now = self._look()
        except OSError:
            return  # looked at again in a moment
        if now == self._seen and now != self._settled:
            self._settled = now
            self.ask()
        self._seen = now

    def _look(self) -> frozenset[tuple[str, int, int, int]]:
        """Give what tells one state of the files from another."""
        config = self._sources.config_path
        folder = config.parent
        paths = [
            config,
            folder / LOCK_NAME,
            folder / "allowed_signers",
            *(folder / "policies").glob("*.cedar"),
            *(folder / "approvals").glob("*/*.json"),
        ]
        paths += shadow_files(config, self._loaded.config)
        return frozenset(_mark(path) for path in paths)


def _shadowed(loaded: Loaded) -> dict[str, str]:
    """Name the rights that are tried out."""
    shadow = loaded.snapshot.shadow
    return {} if shadow is None else {"shadow": shadow.digest}


def _mark(path: Path) -> tuple[str, int, int, int]:
    try:
        info = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), info.st_ino, info.st_size, info.st_mtime_ns
