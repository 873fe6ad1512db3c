"""Recordings are transcribed by a replica or a provider that can."""

import base64
import email
import email.policy
import json

import httpx2
import pytest

from fleet.models import Replica
from gateway.models import ContentPolicy, UsageState
from protocol.transcription import form_of
from tests.gateway.conftest import CAPABILITIES, post, the_record

PATH = "/audio/transcriptions"
SOUND = ("hello.wav", b"RIFF\r\n--\x00\xff", "audio/wav")


@pytest.fixture
def able(gateway):
    Replica.objects.update(capabilities=[*CAPABILITIES, "transcription"])
    gateway.refresh()


def send(gateway, key, *, file=SOUND, **fields) -> httpx2.Response:
    """The form as a browser would send it."""
    headers = {"Authorization": f"Bearer {key}"}
    files = {"file": file} if file else {"other": SOUND}
    return httpx2.post(gateway.url + PATH, data={"model": "fake-1", **fields}, files=files, headers=headers, timeout=30)


def test_openais_client_gets_the_text(able, client, fake):
    told = client.audio.transcriptions.create(model="fake-1", file=SOUND, language="en", temperature=0.2)
    assert told.text == "Once upon a time"
    file = {"name": "hello.wav", "type": "audio/wav", "data": base64.b64encode(SOUND[1]).decode()}
    assert fake.bodies == [{"model": "fake-1", "file": file, "language": "en", "temperature": 0.2}]


def test_a_transcription_leaves_one_record(able, gateway, key):
    send(gateway, key)
    assert (the_record().endpoint, the_record().state) == ("audio/transcriptions", UsageState.COMPLETE)


def test_plain_text_is_given_where_it_is_asked_for(able, gateway, key, fake):
    answer = send(gateway, key, response_format="text")
    assert (answer.text, answer.headers["content-type"]) == ("Once upon a time\n", "text/plain; charset=utf-8")
    assert fake.bodies[0]["response_format"] == "json"


SUBTITLES = {
    "srt": "1\n00:00:00,000 --> 00:00:02,500\nOnce upon\n\n2\n00:00:02,500 --> 01:01:01,001\na time\n\n",
    "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nOnce upon\n\n00:00:02.500 --> 01:01:01.001\na time\n\n",
}


@pytest.mark.parametrize("kind", SUBTITLES)
def test_subtitles_are_made_of_the_segments(able, client, fake, kind):
    told = client.audio.transcriptions.create(model="fake-1", file=SOUND, response_format=kind)
    assert told == SUBTITLES[kind]
    assert fake.bodies[0]["response_format"] == "verbose_json"


def test_granularities_are_passed_on_as_a_list(able, client, fake):
    client.audio.transcriptions.create(
        model="fake-1", file=SOUND, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert fake.bodies[0]["timestamp_granularities"] == ["word", "segment"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"file": None}, "file"),
        ({"file": ("a.wav", b"", "audio/wav")}, "file"),
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "2"}, "temperature"),
        ({"stream": "true"}, "stream"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"nonsense": "1"}, "nonsense"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(able, gateway, key, fields, param):
    answer = send(gateway, key, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_recording_that_is_too_long_is_refused(able, gateway, key, settings):
    settings.MAX_AUDIO_BYTES = 1000
    answer = send(gateway, key, file=("a.wav", b"x" * 1000, "audio/wav"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_what_is_no_form_is_told_to_be_one(able, gateway, key):
    answer = post(gateway, key, PATH, {"model": "fake-1"})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"--x", b"nonsense"])
def test_a_broken_form_is_refused(able, gateway, key, body):
    answer = post(gateway, key, PATH, body, **{"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400


def test_a_model_that_cannot_says_so(gateway, key):
    assert send(gateway, key).json()["error"]["code"] == "unsupported_model"


def test_a_content_policy_reads_what_was_said(able, gateway, key):
    ContentPolicy.objects.create(name="house rules", words="upon a time")
    gateway.refresh()
    assert send(gateway, key).json()["error"]["code"] == "content_policy_violation"


def test_others_get_openais_form():
    file = {"name": 'a"b.wav', "type": "audio/wav", "data": base64.b64encode(SOUND[1]).decode()}
    asked = {"model": "whisper", "file": file, "timestamp_granularities": ["word", "segment"], "temperature": 0.5}
    form, media_type = form_of(json.dumps(asked).encode())
    message = email.message_from_bytes(f"Content-Type: {media_type}\r\n\r\n".encode() + form, policy=email.policy.HTTP)
    parts = [(part.get_param("name", header="content-disposition"), part) for part in message.iter_parts()]
    told = [(name, part.get_content().strip()) for name, part in parts if name != "file"]
    assert told == [
        ("model", "whisper"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("temperature", "0.5"),
    ]
    sound = dict(parts)["file"]
    assert (sound.get_filename(), sound.get_content_type()) == ("a%22b.wav", "audio/wav")
    assert SOUND[1] in form
