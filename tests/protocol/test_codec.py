import pytest

from protocol.codec import MalformedMessage, decode, encode
from protocol.control import DesiredReplica, DesiredState

STATE = DesiredState(
    heartbeat_interval_s=5.0,
    replicas=[DesiredReplica(replica_id="r1", model="demo", engine="echo", source="")],
)


def test_a_message_survives_the_wire():
    assert decode(DesiredState, encode(STATE)) == STATE


def test_a_field_of_a_newer_peer_is_ignored():
    assert decode(DesiredState, b'{"replicas": [], "heartbeat_interval_s": 5, "mood": "good"}').replicas == []


def test_a_wrong_field_is_named_with_its_path():
    with pytest.raises(MalformedMessage, match=r"replicas\[0\]"):
        decode(DesiredState, b'{"replicas": [{"replica_id": 7}], "heartbeat_interval_s": 5}')


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"replicas": NaN}'])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(MalformedMessage):
        decode(DesiredState, data)
