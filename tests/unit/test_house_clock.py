"""Ids and small secrets that are drawn from blocks."""

from __future__ import annotations

import os
import uuid

from bascule.clock import Micros, new_id, pooled_entropy

MANY = 5000


def test_an_id_is_a_uuid_of_version_7_with_its_time() -> None:
    now = Micros(1_795_654_026_359_196)
    ids = [uuid.UUID(new_id(now)) for _ in range(MANY)]
    assert len(set(ids)) == MANY
    assert {(it.version, it.variant) for it in ids} == {(7, uuid.RFC_4122)}
    assert {it.int >> 80 for it in ids} == {now // 1000}
    # All four variants of the digit with two random bits come up.
    assert {str(it)[19] for it in ids} == set("89ab")


def test_no_two_draws_are_alike() -> None:
    drawn = [pooled_entropy(32) for _ in range(MANY)]
    assert len(set(drawn)) == MANY
    assert {len(it) for it in drawn} == {32}


def test_a_forked_process_does_not_draw_what_its_parent_draws() -> None:
    pooled_entropy(1)
    new_id(Micros(0))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, pooled_entropy(32) + new_id(Micros(0)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    drawn = os.read(reading, 1000)
    assert drawn[:32] != pooled_entropy(32)
    assert drawn[32:] != new_id(Micros(0)).encode()
