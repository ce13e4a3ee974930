"""Session ids: those that can be guessed, and those of real servers that cannot."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid

import pytest

from bascule.scan.judge.session_ids import ENOUGH_BITS, varying_bits, weakness

GUESSABLE = {
    "one for all": ["session"] * 4,
    "twice": ["a4f1c09b7d3e62580f1e", "b7", "a4f1c09b7d3e62580f1e", "c9"],
    "a counter": ["1001", "1002", "1003", "1004"],
    "a counter that has a gap": ["998", "999", "1003", "1004"],
    "a counter with a name": ["session-9-user", "session-10-user", "session-11-user"],
    "a counter in front of a name": [
        f"{it}-of-all-users-of-this-host" for it in (9, 10, 11)
    ],
    "a counter in base64": [
        base64.b64encode(f"session-{number}".encode()).decode() for number in range(4)
    ],
    "milliseconds": ["1796000000123", "1796000000161", "1796000000199", "1796000000230"],
    "addresses in memory": ["0x7f3a4c001200", "0x7f3a4c003400", "0x7f3a4c0056f0"],
    "too short": ["a1f3", "9c2e", "04bd", "77aa"],
    "eight characters": ["k3J9xQ2z", "Pq81LmZ0", "x7Yt5RsB", "Zz3kW0aV"],
    "UUIDs of the time": [str(uuid.uuid1(node=7, clock_seq=7)) for _ in range(4)],
}


@pytest.mark.parametrize("ids", GUESSABLE.values(), ids=GUESSABLE)
def test_ids_that_can_be_guessed_are_weak(ids: list[str]) -> None:
    assert weakness(ids) is not None


DRAWN = {
    "random UUIDs": lambda: str(uuid.uuid4()),
    "hexadecimal": lambda: uuid.uuid4().hex,
    "base64": lambda: secrets.token_urlsafe(24),
    "with a name in front": lambda: f"mcp-session-{uuid.uuid4()}",
    "time and then 74 random bits": lambda: (
        f"018fd2b1-9c3{secrets.token_hex(1)[0]}-7{secrets.token_hex(2)[:3]}"
        f"-8{secrets.token_hex(2)[:3]}-{secrets.token_hex(6)}"
    ),
    "sealed": lambda: secrets.token_urlsafe(96),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_random_ids_are_not(draw: object) -> None:
    assert callable(draw)
    for _ in range(200):
        assert weakness([draw() for _ in range(4)]) is None


def test_one_id_says_nothing() -> None:
    assert weakness(["1"]) is None


def test_bits_are_counted_where_ids_differ() -> None:
    assert varying_bits(["x-00ff", "x-11ee"]) == 16
    assert varying_bits(["x-0" + "f" * 40, "x-1" + "f" * 40]) < ENOUGH_BITS


def test_a_hash_of_a_counter_passes_for_random() -> None:
    """It is what samples cannot tell; the documentation says so."""
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4)]
    assert weakness(ids) is None
