"""What a login by a provider costs beside the provider's own time; printed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from foreign import signer
from ports import free_ports
from system.company import SECRET, company
from system.recorder import Recorder
from system.server import configure
from system.test_dpop_soak import cpu_seconds
from system.visitor import Visitor

pytestmark = [pytest.mark.soak, pytest.mark.on_disk, pytest.mark.timeout(600)]

LOGINS, WARM = 200, 20
PROVIDER = """
[providers.corp]
kind = "oidc"
issuer = "http://127.0.0.1:{port}"
client_id = "bascule"
client_secret = "file:{secret}"
"""


def test_a_login_takes_little_time_of_ours(
    tmp_path: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    more = PROVIDER.format(port=port, secret=secret)
    bascule = configure(tmp_path / "bascule", recorder, more=more)
    back = f"{bascule.url}/login/callback/corp"
    begun, finished = [], []
    with company(tmp_path, port, back, signer("key-1", "RS256")) as corp:
        bascule.start()
        try:
            corp.knows("alice", name="Alice", groups=["staff"])
            for number in range(WARM + LOGINS):
                if number == WARM:
                    before = cpu_seconds(bascule)
                corp.signs_in("alice")
                visitor = Visitor(bascule)
                began = time.perf_counter()
                location = visitor.get("/login/with/corp").location
                begun.append(time.perf_counter() - began)
                assert location is not None
                answer = corp.visit(location).removeprefix(bascule.url)
                busy, began = corp.busy(), time.perf_counter()
                assert visitor.get(answer).status == 303
                took = time.perf_counter() - began
                finished.append(took - (corp.busy() - busy))
            spent = (cpu_seconds(bascule) - before) / LOGINS
        finally:
            bascule.kill()
    with capsys.disabled():
        print(f"\n{spent * 1000:.1f} ms of CPU a login")
        _print("to the provider", begun[WARM:])
        _print("from its answer to ours, without its time", finished[WARM:])


def _print(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    print(f"{name}: p50 {middle * 1000:.1f} ms, p99 {late * 1000:.1f} ms")
