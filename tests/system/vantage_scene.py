"""Three machines of our own: a Bascule, a vantage point, and a target only that reaches.

Run as `python -m system.vantage_scene FOLDER` in namespaces of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.app.vantages import public_line
from bascule.clock import system_clock
from bascule.scan.prober import probe
from bascule.scan.scope import Scope, entries
from bascule.scan.target import Target
from bascule.scan.vantage import Vantage, VantageError
from bascule.scan.wire import Dial, Wire
from patience import until
from system.host_scene import SDK_SERVER

HERE, VANTAGE, VANTAGE_INNER, TARGET = "10.1.0.1", "10.1.0.2", "10.2.0.1", "10.2.0.2"
PORT = 8000


def ip(*words: str, inside: int | None = None) -> None:
    before = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    subprocess.run([*before, "ip", *words], check=True)


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "server.py").write_text(SDK_SERVER)
    key = Ed25519PrivateKey.generate()
    with contextlib.ExitStack() as stack:

        def start(*command: str, inside: int | None = None) -> Popen[str]:
            before = ["unshare", "--net"]
            if inside is not None:
                before = ["nsenter", "--target", str(inside), "--net"]
            process = Popen(
                [*before, *command], cwd=folder, stdout=PIPE, stderr=PIPE, text=True
            )
            stack.callback(process.kill)
            return process

        vantage, target = (start("sleep", "600").pid for _ in range(2))
        until(lambda: all(map(is_apart, (vantage, target))))
        connect(vantage, target)
        start(sys.executable, "server.py", str(PORT), inside=target)
        words = ["--listen", f"{VANTAGE}:7000", "--paired-key", public_line(key)]
        bascule = [sys.executable, "-m", "bascule.cli.main"]
        relay = start(
            *bascule, "scan", "vantage", *words, "--state", str(folder), inside=vantage
        )
        assert relay.stderr is not None
        ready = relay.stderr.readline().split()
        fingerprint = ready[-1].removeprefix("fingerprint=")
        told = asyncio.run(probe_all(key, fingerprint))
        relay.send_signal(signal.SIGTERM)
        told["code"] = relay.wait()
        records = (folder / "records.jsonl").read_text().splitlines()
        told["records"] = [json.loads(it) for it in records]
    print(json.dumps(told))


def is_apart(pid: int) -> bool:
    own = Path("/proc/self/ns/net").readlink()
    return Path(f"/proc/{pid}/ns/net").readlink() != own


def connect(vantage: int, target: int) -> None:
    """Put cables between here and the vantage point, and from there to the target."""
    ip("link", "add", "here", "type", "veth", "peer", "name", "v", "netns", str(vantage))
    words = ("link", "add", "inner", "type", "veth", "peer", "name", "t")
    ip(*words, "netns", f"/proc/{target}/ns/net", inside=vantage)
    ends = (("here", HERE, None), ("v", VANTAGE, vantage))
    inner = (("inner", VANTAGE_INNER, vantage), ("t", TARGET, target))
    for device, address, inside in (*ends, *inner):
        ip("address", "add", f"{address}/24", "dev", device, inside=inside)
        ip("link", "set", "dev", device, "up", inside=inside)


async def probe_all(key: Ed25519PrivateKey, fingerprint: str) -> dict[str, Any]:
    def dial(*targets: str) -> Dial:
        return Vantage(VANTAGE, 7000, fingerprint, key, targets, system_clock).dial

    there = f"{TARGET}:{PORT}"
    await answered(lambda: state(TARGET, dial(there)))
    return {
        "from there": await state(TARGET, dial(there)),
        "from here": await state(TARGET, None),
        "closed port": await state(TARGET, dial(f"{TARGET}:81"), port=81),
        "its own address": await state(VANTAGE, dial(f"{VANTAGE}:{PORT}")),
        "its inner address": await state(VANTAGE_INNER, dial(f"{VANTAGE_INNER}:{PORT}")),
    }


async def answered(ask: Callable[[], Any]) -> None:
    """Wait until the target serves."""
    for _ in range(600):
        if await ask() == "open":
            return
        await asyncio.sleep(0.05)


async def state(address: str, dial: Dial | None, port: int = PORT) -> str:
    scope = Scope(named=entries([f"{address}:{port}"]), owned=True)
    wire = Wire(scope=scope) if dial is None else Wire(scope=scope, dial=dial)
    try:
        probed = await probe(wire, Target.of_url(f"http://{address}:{port}/mcp"), ())
    except VantageError as exc:
        return str(exc)
    finally:
        wire.close()
    return probed.server.state


if __name__ == "__main__":
    main()
