"""Events are cut the same way wherever the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.gateway.sse import EventReader, EventTooLargeError, event

STREAM = b"".join(
    [
        b'event: message\r\ndata: {"a":1}\r\n\r\n',
        b": comment\n\ndata: x\rdata: y\r\rid: 7\n\ndata:z\n\n",
    ]
)
EVENTS = [b'{"a":1}', b"x\ny", b"z"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_between_bytes_do_not_matter(cuts: list[int]) -> None:
    reader = EventReader(1000)
    places = [0, *sorted(cuts), len(STREAM)]
    found = [
        data
        for start, end in itertools.pairwise(places)
        for data in reader.feed(STREAM[start:end])
    ]
    assert found == EVENTS


def test_what_is_written_is_read_back() -> None:
    assert EventReader(100).feed(event(b"{}")) == [b"{}"]


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 200, b"data: xxxxxxxxx\n" * 20, b"y" * 200]
)
def test_an_event_over_the_limit_is_refused_before_it_is_complete(piece: bytes) -> None:
    with pytest.raises(EventTooLargeError):
        EventReader(100).feed(piece)
