"""The stdio servers of a configuration, hosted beside the gateway on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import stat
import tempfile
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from bascule.app import state
from bascule.app.approved import stamp_of
from bascule.app.follow import POLL_SECONDS
from bascule.app.load import Loaded
from bascule.app.locked_launch import LockedLaunch, record_reached, record_refused
from bascule.app.place import Place
from bascule.app.revocation_news import RevocationNews
from bascule.app.secrets import ReadSecret, is_reference
from bascule.app.timers import Timer
from bascule.clock import UnixTime, monotonic, system_clock, system_entropy
from bascule.config.model import Config, Connector, Limits
from bascule.decision.snapshot import Gates
from bascule.errors import BasculeError
from bascule.gateway.hosted import Hosted, HostedHandler
from bascule.gateway.hosted_headers import ITSELF
from bascule.gateway.hosted_sessions import Session, Sessions
from bascule.gateway.listener import Listener
from bascule.gateway.upstream import Endpoint
from bascule.identity.revocation import Kind
from bascule.launch.command import (
    Command,
    LaunchError,
    operator_environment,
    program_of,
)
from bascule.launch.sandbox.backend import Reached
from bascule.launch.server import StdioServer
from bascule.launch.start import Start
from bascule.launch.wanted import Wanted
from bascule.lock.lock_file import read_lock
from bascule.lock.model import LockError, entry_digest

log = logging.getLogger("bascule.stdio")

TICK_SECONDS = 1.0
MAX_KEPT_OFF = 100
"""Places for each connector."""
MAX_RECORDED_CHARACTERS = 1000
MAX_SOCKET_PATH_BYTES = 100
"""The kernel takes 108, some systems less."""


def socket_path(data_dir: Path) -> Path:
    """Give the path of the Unix socket; the same in each process of an installation.

    A path that is too long for a socket is replaced by one in the directory for temporary
    files.
    """
    path = data_dir.absolute() / "run" / "stdio.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:16]
    name = f"bascule-{os.geteuid()}-{digest}"
    return Path(tempfile.gettempdir()) / name / "stdio.sock"


def endpoint_of(name: str, data_dir: Path) -> Endpoint:
    """Give where the gateway finds a hosted server."""
    return Endpoint(f"http://stdio/{name}", socket=str(socket_path(data_dir)))


def commands_of(config: Config, read_secret: ReadSecret) -> dict[str, Command]:
    """Give the commands of a configuration, by connector. Raises `BasculeError`."""
    return {
        name: command_of(name, connector, read_secret)
        for name, connector in config.connectors.items()
        if connector.command is not None
    }


def command_of(name: str, connector: Connector, read_secret: ReadSecret) -> Command:
    """Give the command of one stdio connector, its secrets read. Raises `BasculeError`."""
    assert connector.command is not None  # noqa: S101 - the caller has looked
    environment: dict[str, str] = {}
    secrets: set[str] = set()
    for variable, value in connector.env.items():
        environment[variable] = value
        if is_reference(value):
            environment[variable] = secret = read_secret(value)
            if "\0" in secret:
                raise BasculeError(f"connector `{name}`: `env.{variable}` is no text")
            secrets.update(line for line in secret.splitlines() if len(line) > 3)
    return Command(name, connector.command, environment, frozenset(secrets))


def missing_programs(
    config: Config, locked: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Give the connectors whose program is not there, with a sentence; secrets unread.

    Those that are `locked` run from the store, without their launcher.
    """
    for name, connector in config.connectors.items():
        if connector.command is not None and name not in locked:
            named = {key: it for key, it in connector.env.items() if key == "PATH"}
            try:
                program_of(Command(name, connector.command, named), operator_environment())
            except LaunchError as exc:
                yield name, str(exc)


def entries_beside(config_path: Path) -> dict[str, str]:
    """Give the digest of each connector's entry in the lock; none of a broken one."""
    try:
        entries = read_lock(config_path.parent).connectors
        return {name: entry_digest(entry) for name, entry in entries.items()}
    except LockError:
        return {}  # nothing starts without it; see `LockedLaunch`


class StdioHosts:
    """All stdio servers of one `bascule up`; lives in the process that was started."""

    def __init__(self, place: Place, config: Config, config_path: Path) -> None:
        self._place = place
        self._config_path = config_path
        self._data_dir = place.data_dir
        self._sessions = Sessions(system_entropy)
        self._retired: list[StdioServer] = []
        self._handler = HostedHandler(self._sessions, config.limits, _crashed)
        self._listener: Listener | None = None
        self._entries: dict[str, str] = {}
        """Digests of what servers were locked to when they were made, by connector."""
        self._refused: dict[str, str] = {}
        """Why the last start of a connector was refused."""
        self._stamp = stamp_of(config_path)
        commands = commands_of(config, place.secrets(config.vault))
        self._fresh = config, commands, entries_beside(config_path)
        self.commit()
        self._news = RevocationNews(place.open_state())
        self._kept_off: dict[str, dict[str, UnixTime]] = {}

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while it serves."""
        return [Timer(TICK_SECONDS, self._tick), Timer(POLL_SECONDS, self._follow)]

    async def prepare(self, loaded: Loaded) -> None:
        """Read what a new configuration needs, and change nothing yet.

        Raises `BasculeError`.
        """
        entries = entries_beside(self._config_path)
        read_secret = self._place.secrets(loaded.config.vault)
        self._fresh = loaded.config, commands_of(loaded.config, read_secret), entries

    def commit(self) -> None:
        """Put what was prepared into force: what has changed ends after its calls."""
        config, commands, entries = self._fresh
        before, after = self._handler.servers, {}
        relocked = {it for it in commands if entries.get(it) != self._entries.get(it)}
        self._config, self._entries = config, entries
        for name, command in commands.items():
            old = before.get(name)
            per_user = config.connectors[name].per_user
            same = old is not None and (old.server.command, old.per_user) == (
                command,
                per_user,
            )
            if old is None or not same or name in relocked:
                folder = self._data_dir / "servers" / name
                server = StdioServer(
                    command,
                    folder,
                    config.limits,
                    self._sessions,
                    record=self._record_start,
                    prepare=partial(self._prepare_start, command),
                )
                after[name] = Hosted(server, per_user)
            else:
                old.server.limits = config.limits
                after[name] = old
        self._handler.servers = after
        for name, hosted in before.items():
            if after.get(name) is not hosted:
                self._sessions.end_server(hosted.server)
                hosted.server.retire()
                self._retired.append(hosted.server)
        if self._listener is not None and not before:
            self._warn()

    def approve(self, gates: Gates) -> None:
        """End what runs of servers that are not approved any more."""
        now = system_clock()
        for name, hosted in self._handler.servers.items():
            gate = gates.get(name)
            if gate is not None and gate.shuts(now) is not None:
                hosted.server.end_all()

    def processes(self) -> dict[str, frozenset[int]]:
        """Give the ids of the processes that run now, by connector."""
        return {
            name: frozenset(it.process.pid for it in hosted.server.peers)
            for name, hosted in self._handler.servers.items()
        }

    def kept_off(self) -> dict[str, dict[str, UnixTime]]:
        """Give what sandboxes refused since the last time that was asked, and when.

        By connector and HOST:PORT; the port is 0 where a name was looked up.
        """
        found, self._kept_off = self._kept_off, {}
        return found

    async def _reached(self, name: str, reached: Reached) -> None:
        """Record it. Raises `LogUnavailableError`."""
        if not reached.allowed:
            of_it = self._kept_off.setdefault(name, {})
            if len(of_it) < MAX_KEPT_OFF:
                of_it[f"{reached.host}:{reached.port}"] = system_clock()
        await record_reached(self._place, name, reached)

    def _warn(self) -> None:
        # In `enforce` what is not locked does not run.
        open_ones = sorted(
            name
            for name in set(self._handler.servers) - set(self._entries)
            if self._config.connectors[name].mode in {"observe", "warn"}
        )
        if open_ones:
            log.warning(
                "stdio servers that are not locked are not sandboxed (%s): they run as "
                "this OS user and can read and change what it can, `%s` with its keys "
                "included",
                ", ".join(open_ones),
                self._data_dir,
            )

    async def start(self) -> None:
        """Listen. Raises `BasculeError`."""
        await self._news.fresh()  # what was before is no news
        limits = self._fresh[0].limits
        # The gateway writes bodies anew, and may need more bytes than the client did.
        bounds = Limits(body_bytes=min(limits.body_bytes * 2, 64 << 20))
        (self._data_dir / "servers").mkdir(mode=0o700, exist_ok=True)
        bound = _bind(socket_path(self._data_dir))
        self._listener = Listener([bound], self._handler, bounds)
        await self._listener.start()
        self._warn()

    async def _prepare_start(self, command: Command, wanted: Wanted) -> Start | None:
        """Enclose what is locked; see `LockedLaunch`."""
        launch = LockedLaunch(
            place=self._place,
            config_path=self._config_path,
            config=self._config,
            clock=system_clock,
        )
        name = command.connector
        try:
            start = await launch.start(command, partial(self._reached, name))
        except LaunchError as exc:
            # Clients try again and again: the log has each reason once.
            if self._refused.get(name) != str(exc):
                self._refused[name] = str(exc)
                await record_refused(self._place, name, str(exc))
            raise
        self._refused.pop(name, None)
        return start

    async def _record_start(self, connector: str, start: Start, wanted: Wanted) -> None:
        """Have it on disk before a program runs; arguments may hold secrets."""
        itself = wanted.user.startswith(ITSELF)
        record = partial(
            state.record_admin,
            self._place,
            "server.start",
            {
                "program": start.named[:MAX_RECORDED_CHARACTERS],
                "revision": wanted.revision,
                "sandbox": start.backend,
            },
            user=None if itself else wanted.user or None,
            agent=wanted.user.removeprefix(ITSELF) if itself else None,
            connector=connector,
        )
        await asyncio.to_thread(record)

    async def _follow(self) -> None:
        for kind, key in await self._news.fresh():
            self.end_revoked(kind, key)

    async def _tick(self) -> None:
        now = monotonic()
        if self._listener is not None:
            self._listener.expire()
        self._sessions.expire(now)
        for server in self._servers():
            server.expire(now)
        self._retired = [it for it in self._retired if not it.over]
        if stamp_of(self._config_path) != self._stamp:
            await self._take_lock()

    async def _take_lock(self) -> None:
        """Restart what was locked anew, also without a reload of the configuration."""
        self._stamp = stamp_of(self._config_path)
        entries = await asyncio.to_thread(entries_beside, self._config_path)
        if entries != self._entries:
            servers = self._handler.servers
            commands = {name: it.server.command for name, it in servers.items()}
            self._fresh = self._config, commands, entries
            self.commit()

    def end_revoked(self, kind: Kind, key: str) -> None:
        """End the sessions and the users' own processes that a revocation names."""

        def session_ends(session: Session) -> bool:
            connector = session.server.command.connector
            return _names(kind, key, session.user, session.agent, connector)

        self._sessions.end_those(session_ends)
        for server in self._servers():
            connector = server.command.connector
            server.end_users(partial(_names_process, kind, key, connector))

    async def stop(self) -> None:
        """End all processes, and the listener."""
        if self._listener is not None:
            self._listener.stop_accepting()
        await asyncio.gather(*(server.stop() for server in self._servers()))
        if self._listener is not None:
            self._listener.abort()
            path = socket_path(self._data_dir)
            with contextlib.suppress(OSError):
                path.unlink()
                path.parent.rmdir()

    def _servers(self) -> list[StdioServer]:
        return [*(it.server for it in self._handler.servers.values()), *self._retired]


def _names(kind: Kind, key: str, user: str, agent: str, connector: str) -> bool:
    """Tell whether a revocation names somebody; single tokens are the gateway's to end."""
    match kind:
        case "all":
            return True
        case "user":
            return user == key
        case "agent":
            return agent == key
        case "connector":
            return connector == key
        case _:
            return False


def _names_process(kind: Kind, key: str, connector: str, user: str) -> bool:
    # A process is a user's, whatever the agents; an agent by itself is a user of its own.
    agent = user.removeprefix(ITSELF) if user.startswith(ITSELF) else ""
    return _names(kind, key, user, agent, connector)


def _bind(path: Path) -> socket.socket:
    """Bind a Unix socket that this OS user alone can reach. Raises `BasculeError`."""
    folder = path.parent
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if info.st_uid != os.geteuid() or not stat.S_ISDIR(info.st_mode):
            raise BasculeError(f"`{folder}` belongs to another user: remove it")
        folder.chmod(0o700)
        # One of a process that was killed; the data directory is locked by now.
        path.unlink(missing_ok=True)
        bound.setblocking(False)
        bound.bind(str(path))
        path.chmod(0o600)
    except OSError as exc:
        bound.close()
        # A path that is too long has no number, and so no `strerror`.
        raise BasculeError(f"cannot listen on `{path}`: {exc.strerror or exc}") from exc
    return bound


def _crashed(problem: Exception) -> None:
    log.error("a request to a hosted server failed on a bug", exc_info=problem)
