"""Arguments as they lie in the database."""

from __future__ import annotations

import pytest

from bascule.clock import system_entropy
from bascule.storage.sealed_arguments import (
    SealedArgumentsError,
    arguments_key,
    open_arguments,
    seal_arguments,
)

KEY = arguments_key(bytes(32))
ARGUMENTS = b'{"path":"/srv/canary"}'


def sealed() -> bytes:
    return seal_arguments(KEY, "1", ARGUMENTS, system_entropy)


def test_what_was_sealed_is_opened() -> None:
    assert open_arguments(KEY, "1", sealed()) == ARGUMENTS


def test_nothing_of_it_is_seen() -> None:
    assert b"canary" not in sealed()
    assert sealed() != sealed()


@pytest.mark.parametrize("at", range(len(sealed())))
def test_no_bit_can_be_changed(at: int) -> None:
    box = bytearray(sealed())
    box[at] ^= 1
    with pytest.raises(SealedArgumentsError):
        open_arguments(KEY, "1", bytes(box))


@pytest.mark.parametrize("box", [b"", b"\0", bytes(12), bytes(27), bytes(28)])
def test_what_is_no_box_is_not_opened(box: bytes) -> None:
    with pytest.raises(SealedArgumentsError):
        open_arguments(KEY, "1", box)


def test_arguments_cannot_be_put_into_another_approval() -> None:
    with pytest.raises(SealedArgumentsError):
        open_arguments(KEY, "2", sealed())


def test_another_key_opens_nothing() -> None:
    assert arguments_key(bytes(31) + b"\1") != KEY
    assert bytes(32) != KEY
    with pytest.raises(SealedArgumentsError):
        open_arguments(arguments_key(bytes(31) + b"\1"), "1", sealed())
