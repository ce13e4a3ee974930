"""One start under bubblewrap: what is handed to it, and who attends to its network."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bascule.launch.command import DEFAULT_PATH, LaunchError
from bascule.launch.sandbox.control_group import ControlGroup, group_for
from bascule.launch.sandbox.descriptors import Descriptors
from bascule.launch.sandbox.egress import Egress, Place
from bascule.launch.sandbox.limits import limits_of
from bascule.launch.sandbox.refusals import read_refusal
from bascule.launch.sandbox.spec import SandboxSpec
from bascule.launch.sandbox.traps import Traps
from bascule.launch.start import Start

_NAMESPACE = Path(__file__).with_name("namespace.py")
_READY_SECONDS = 60.0
_ENVIRONMENT: Mapping[str, str] = {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8"}
"""Of what runs outside of the sandbox: nothing that was declared for the server, since a
`LD_PRELOAD` of that would be loaded there."""
_TAPS = 2
_PACKETS_AT_ONCE = 64


@dataclass(slots=True)
class Enclosed(Start):
    """A start under bubblewrap."""

    places: Sequence[Place] = ()
    limits: Sequence[tuple[int, int]] = ()
    egress: Egress | None = None
    inherited: Descriptors = field(default_factory=Descriptors)
    traps: Traps | None = None
    group: ControlGroup = field(default_factory=ControlGroup)
    _control: socket.socket | None = None
    _attended: bool = False
    _go: int = -1
    """Written to when the server may run."""
    _usher: subprocess.Popen[bytes] | None = None
    _taps: list[socket.socket] = field(default_factory=list)
    _told: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def ready(
        cls,
        program: str,
        options: Sequence[str],
        *,
        spec: SandboxSpec,
        places: Sequence[Place],
        egress: Egress,
        inherited: Descriptors,
        traps: Traps,
    ) -> Enclosed:
        """Start what will attend to it, so that the two begin at the same time."""
        info_out, info_in = os.pipe()
        block_out, block_in = os.pipe()
        inherited.add(info_in)
        inherited.add(block_out)
        options = [*options, "--info-fd", str(info_in), "--block-fd", str(block_out)]
        arguments = inherited.holding("".join(f"{it}\0" for it in options).encode())
        executable = str(spec.interpreter.resolve())
        made = cls(
            program=program,
            argv=("bwrap", "--args", str(arguments), "--", executable, *spec.argv[1:]),
            environment=_ENVIRONMENT,
            folder="/",
            server=executable,
            backend="bubblewrap",
            keeps=tuple(inherited.numbers),
            inner=True,
            places=places,
            limits=limits_of(spec),
            egress=egress,
            inherited=inherited,
            traps=traps,
            group=group_for(spec),
            _go=block_in,
        )
        made._control, theirs = socket.socketpair()
        with theirs:
            try:
                made._usher = _start_usher(info_out, theirs)
            except OSError as exc:
                made.close()
                raise LaunchError(f"cannot prepare its network: {exc.strerror}") from exc
            finally:
                os.close(info_out)
        return made

    def spawned(self) -> None:
        """Let go of what the program has inherited."""
        self.inherited.close()

    async def attend(self) -> None:
        """Set limits, make the network, let the server run. Raises `LaunchError`."""
        assert self._control is not None and self.egress is not None  # noqa: S101, PT018 - made with both
        wanted = {
            "listen": [[it.inside, it.port] for it in self.places],
            "limits": self.limits,
            "groups": self.group.entrances,
        }
        control = self._control
        control.setblocking(False)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await asyncio.get_running_loop().sock_sendall(
                    control, json.dumps(wanted).encode() + b"\n"
                )
                await _readable(control)
        except TimeoutError:
            raise LaunchError("its sandbox was not ready in time") from None
        said, numbers, _, _ = socket.recv_fds(control, 1000, _TAPS + len(self.places))
        sockets = [socket.socket(fileno=it) for it in numbers]
        if said != b"ok" or len(sockets) != _TAPS + len(self.places):
            for it in sockets:
                it.close()
            raise LaunchError(f"cannot make its sandbox: {said.decode(errors='replace')}")
        self._taps = sockets[:_TAPS]
        for tap in self._taps:
            asyncio.get_running_loop().add_reader(tap.fileno(), self._tapped, tap)
        if self.traps is not None:
            watched = self.traps.descriptor
            self._attended = True
            asyncio.get_running_loop().add_reader(watched, self._trapped, self.traps)
        await self.egress.listen(zip(sockets[_TAPS:], self.places, strict=True))
        self._let_run()
        if self._usher is not None:
            await asyncio.to_thread(self._usher.wait)

    def _let_run(self) -> None:
        os.write(self._go, b"!")
        os.close(self._go)
        self._go = -1

    def _trapped(self, traps: Traps) -> None:
        """Report which package managers were wanted."""
        for name in traps.sprung():
            self._tell_refused(name, 0, "no package manager runs here")

    def _tapped(self, tap: socket.socket) -> None:
        """Report what was refused."""
        assert self.egress is not None  # noqa: S101 - set before the reader
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = tap.recv(1024)
            except OSError:
                return
            found = read_refusal(packet)
            if found is not None:
                # Another port of an approved host.
                host = next((it.host for it in self.places if it.inside == found.host), "")
                self._tell_refused(host or found.host, found.port, "not in `may_reach`")

    def _tell_refused(self, host: str, port: int, reason: str) -> None:
        assert self.egress is not None  # noqa: S101 - set before the readers
        task = asyncio.get_running_loop().create_task(
            self.egress.refused(host, port, reason)
        )
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    def close(self) -> None:
        """Let go of everything."""
        self.inherited.close()
        for tap in self._taps:
            asyncio.get_running_loop().remove_reader(tap.fileno())
            tap.close()
        self._taps = []
        if self.traps is not None:
            if self._attended:
                asyncio.get_running_loop().remove_reader(self.traps.descriptor)
            self.traps.close()
            self.traps = None
        if self.egress is not None:
            self.egress.close()
        if self._control is not None:
            self._control.close()
        if self._usher is not None and self._usher.poll() is None:
            self._usher.kill()
            self._usher.wait()
        if self._go >= 0:
            os.close(self._go)
            self._go = -1
        self.group.remove()


def _start_usher(info: int, control: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - an argument vector, no shell
        [
            *(sys.executable, "-I", "-S", str(_NAMESPACE)),
            *(str(info), str(control.fileno())),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(info, control.fileno()),
        env=dict(_ENVIRONMENT),
        cwd="/",
    )


async def _readable(control: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(control.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(control.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
