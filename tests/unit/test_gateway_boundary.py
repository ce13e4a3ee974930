"""Whom a new boundary cuts off: who was inside, and nobody who is being refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bascule.config.load import load
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.gateway.gateway import Gateway, OutsideError


def snapshot(*networks: str) -> Snapshot:
    text = (
        '[connectors.desk]\nurl = "https://desk.example/mcp"\nmode = "observe"\n'
        f"boundary = {{ reachable_from = {list(networks)} }}\n"
    )
    return build_snapshot(load(text, source="bascule.toml"), {})


def cut_off(before: Snapshot, after: Snapshot, *peers: str) -> list[str]:
    """Give the clients whose requests are ended."""
    ended: list[str] = []

    def work(peer: str) -> Any:
        def interrupt(problem: Exception) -> None:
            assert isinstance(problem, OutsideError)
            ended.append(peer)

        caller = SimpleNamespace(connector="desk") if peer else None
        exchange = SimpleNamespace(peer=peer)
        return SimpleNamespace(caller=caller, exchange=exchange, interrupt=interrupt)

    gateway: Any = SimpleNamespace(snapshot=after, work=[work(it) for it in (*peers, "")])
    Gateway._end_outside(gateway, before)
    return ended


def test_who_comes_to_be_outside_is_cut_off_and_nobody_else() -> None:
    wide, narrow, free = snapshot("10.0.0.0/8"), snapshot("10.1.0.0/16"), snapshot()
    peers = ("10.1.0.1", "10.2.0.1", "192.0.2.1")
    assert cut_off(wide, narrow, *peers) == ["10.2.0.1"]
    assert cut_off(free, narrow, *peers) == ["10.2.0.1", "192.0.2.1"]
    assert cut_off(narrow, wide, *peers) == []
    assert cut_off(narrow, narrow, *peers) == []
    assert cut_off(narrow, free, *peers) == []
