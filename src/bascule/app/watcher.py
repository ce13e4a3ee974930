"""What comes up against served connectors, looked for while a server runs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from bascule.app import state
from bascule.app.lock_place import LockPlace
from bascule.app.place import Place
from bascule.app.timers import Timer
from bascule.app.watching import look
from bascule.clock import monotonic, system_clock
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.lock.lock_file import read_lock
from bascule.lock.watch import News
from bascule.storage import approvals
from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")

DAY_SECONDS = 86_400.0
RETRY_SECONDS = 60.0
TICK_SECONDS = 1.0
MAX_RECORDED_CHARACTERS = 1000


class Watcher:
    """Looks at start, each day, and at each change of state; asks no registry."""

    def __init__(
        self, place: Place, config_path: Path, config: Callable[[], Config]
    ) -> None:
        """`config` gives the configuration that is in force."""
        self._place = place
        self._config_path = config_path
        self._config = config
        self._due = monotonic()
        self._generation = -1
        self._told: set[News] = set()

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while it serves."""
        return [Timer(TICK_SECONDS, self._look_when_due)]

    async def _look_when_due(self) -> None:
        try:
            await asyncio.to_thread(self._look_if_due)
        except StateUnavailableError as exc:
            log.debug("what came up: %s", exc)  # who serves tells of that
        except (BasculeError, OSError) as exc:
            log.error("nobody could look for what came up: %s", exc)

    def _look_if_due(self) -> None:
        """Look each day, and when approvals or advisories have changed."""
        generation = self._place.open_state().read(approvals.generation)
        if monotonic() < self._due and generation == self._generation:
            return
        # One that fails is done again soon, and not for each tick of an outage.
        self._due, self._generation = monotonic() + RETRY_SECONDS, generation
        self._look()
        self._due = monotonic() + DAY_SECONDS

    def _look(self) -> None:
        """Tell and record what was not told yet. Raises `BasculeError`."""
        folder = self._config_path.absolute().parent
        if not read_lock(folder).connectors:
            return
        config = self._config()
        lock_place = LockPlace(
            config=config,
            config_path=self._config_path.absolute(),
            data_dir=self._place.data_dir.absolute(),
            environment=os.environ,
            read_secret=self._place.secrets(config.vault),
            now=system_clock(),
        )
        news = look(self._place, lock_place, self._config_path, ask_registries=False)
        for it in news:
            if it.state == "found" and it not in self._told:
                self._record(it)
        # What is over may come up again.
        self._told = {it for it in news if it.state == "found"}

    def _record(self, news: News) -> None:
        # Of approvals that are missing or end, who serves tells the log.
        if news.subject != "approval":
            log.warning("connector `%s`: %s", news.connector, visible(news.detail))
        state.record_admin(
            self._place,
            "watch.found",
            {
                "subject": news.subject,
                "detail": news.detail[:MAX_RECORDED_CHARACTERS],
                "ids": " ".join(news.ids)[:MAX_RECORDED_CHARACTERS],
            },
            user=None,
            agent=None,
            connector=news.connector,
        )
