"""Server-sent events in whatever pieces the network makes of them."""

import pytest

from gateway.events import MAX_EVENT_BYTES, EventBuffer, EventTooLong, event_data, split_events

STREAM = b'data: {"a": 1}\n\n: ping\n\ndata: {"b": "\\n"}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_nothing_is_lost_however_the_stream_is_cut(size):
    buffer = EventBuffer()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert b"".join(map(buffer.feed, pieces)) == STREAM


def test_a_whole_event_is_never_held_back():
    assert EventBuffer().feed(b"data: 1\n\ndata: 2") == b"data: 1\n\n"


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_other_line_ends_are_understood(size):
    buffer, stream = EventBuffer(), STREAM.replace(b"\n", b"\r\n")
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert b"".join(map(buffer.feed, pieces)) == STREAM


def test_the_data_of_an_event_is_found_among_its_lines():
    block = b"event: x\ndata: 1\n\n: ping\n\ndata:2\n\n"
    assert [event_data(event) for event in split_events(block)] == [b"1", b"", b"2"]


def test_an_event_without_end_is_refused():
    buffer = EventBuffer()
    buffer.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(EventTooLong):
        buffer.feed(b"x")
