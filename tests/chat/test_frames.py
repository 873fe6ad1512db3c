"""What tabs may send, and what they are told when it is wrong."""

from uuid import UUID

import pytest

from chat import frames
from protocol.codec import MalformedMessage

ID = UUID(int=1)


def test_a_question_is_read():
    data = f'{{"type":"send","message_id":"{ID}","parent":null,"text":"Hello","model":"echo"}}'
    assert frames.read(data) == frames.Send(message_id=ID, parent=None, text="Hello", model="echo")


def test_fields_of_a_newer_page_are_ignored():
    assert frames.read('{"type":"stop","force":true}') == frames.Stop()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (f'{{"type":"send","message_id":"{ID}","parent":null,"text":7,"model":"echo"}}', "$.text"),
        (f'{{"type":"send","message_id":"{ID}","parent":null,"text":"","model":"echo"}}', "$.text"),
        ('{"type":"join","after":"not-an-id"}', "$.after"),
        ('{"type":"explode"}', "$.type"),
        ("[]", "object"),
        ("{", "truncated"),
        ('{"type":"join","after":' + "[" * 100_000, ""),
    ],
)
def test_a_malformed_frame_is_refused_with_the_place_of_the_fault(data: str, named: str):
    with pytest.raises(MalformedMessage) as refused:
        frames.read(data)
    assert named in str(refused.value)


def test_frames_to_the_tab_say_what_they_are():
    assert '"type":"refused"' in frames.write(frames.Refused(code="too_fast", advice="Wait."))
