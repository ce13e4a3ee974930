"""Events are cut the same way wherever the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.protocol.sse import (
    Event,
    EventReader,
    EventTooLargeError,
    ResumableReader,
    event,
    resumable_event,
)

STREAM = b"".join(
    [
        b'event: message\r\ndata: {"a":1}\r\n\r\n',
        b": comment\n\ndata: x\rdata: y\r\rid: 7\n\ndata:z\n\n",
        b"event: ping\ndata: no message\n\nevent:\ndata: 4\n\n",
    ]
)
EVENTS = [b'{"a":1}', b"x\ny", b"z", b"4"]


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


RESUMABLE = b"".join(
    [
        b"id: a\nretry: 30\ndata: \n\n",
        b"id:b\r\nevent: message\r\ndata: x\r\ndata: y\r\n\r\n",
        b": comment\n\nid\n\nretry: soon\n\nretry: 123456789\n\n",
        b"data: z\nid: " + b"c" * 2000 + b"\n\n",
        b"event: ping\ndata: no message\nid: d\n\n",
        b"data: unfinished\n",
    ]
)


@given(st.lists(st.integers(0, len(RESUMABLE)), max_size=12))
def test_fields_of_resumption_are_read_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    """Ids that are too long and times that are no numbers are left out."""
    reader = ResumableReader(5000)
    places = [0, *sorted(cuts), len(RESUMABLE)]
    found = [
        read
        for start, end in itertools.pairwise(places)
        for read in reader.feed(RESUMABLE[start:end])
    ]
    assert found == [
        Event(b"", b"a", b"30"),
        Event(b"x\ny", b"b", None),
        Event(b"z", None, None),
        Event(b"", b"d", None),
    ]


@given(
    st.sampled_from([b"", b"{}"]),
    st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)),
    st.one_of(st.none(), st.just(b"500")),
)
def test_a_resumable_event_is_read_as_it_was_written(
    data: bytes, event_id: str | None, retry: bytes | None
) -> None:
    read = ResumableReader(100).feed(resumable_event(data, event_id, retry))
    place = None if event_id is None else event_id.encode()
    nothing = not data and place is None and retry is None
    assert read == ([] if nothing else [Event(data, place, retry)])


def test_what_is_written_is_read_back() -> None:
    assert EventReader(100).feed(event(b"{}")) == [b"{}"]


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 200, b"data: xxxxxxxxx\n" * 20, b"y" * 200]
)
def test_an_event_over_the_limit_is_refused_before_it_is_complete(piece: bytes) -> None:
    for reader in (EventReader(100), ResumableReader(100)):
        with pytest.raises(EventTooLargeError):
            reader.feed(piece)


def test_an_event_of_several_lines_is_passed_on_as_one_event() -> None:
    """JSON may have line ends between its tokens; as they are they would end the event."""
    (data,) = EventReader(99).feed(b'data: {"a":1,\ndata: \ndata: "b":2}\n\n')
    assert EventReader(99).feed(event(data)) == [b'{"a":1,  "b":2}']
    (read,) = ResumableReader(99).feed(resumable_event(data, "1", None))
    assert (read.data, read.id) == (b'{"a":1,  "b":2}', b"1")
