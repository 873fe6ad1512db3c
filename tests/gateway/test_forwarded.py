"""Endpoints that Flotilla's own engines do not serve go to replicas that can."""

import pytest

from fleet.models import Replica
from tests.gateway.conftest import CAPABILITIES, post, the_record

RERANK = {"model": "fake-1", "query": "Where is it warm?", "documents": ["Rome", "Oslo"], "top_n": 1}
IMAGE = {"model": "fake-1", "prompt": "a boat", "size": "512x512"}


@pytest.fixture
def able(gateway):
    Replica.objects.update(capabilities=[*CAPABILITIES, "rerank", "images"])
    gateway.refresh()


def test_documents_are_ranked_by_a_replica_that_can(able, gateway, key, fake):
    answer = post(gateway, key, "/rerank", RERANK)
    assert answer.json()["results"] == [{"index": 0, "relevance_score": 0.9}]
    assert (fake.bodies, the_record().prompt_tokens) == ([RERANK], 5)


def test_documents_may_be_objects(able, gateway, key, fake):
    post(gateway, key, "/rerank", RERANK | {"documents": [{"text": "Rome"}, "Oslo"]})
    assert fake.bodies == [RERANK]


def test_a_picture_is_drawn_by_a_replica_that_can(able, client):
    assert client.images.generate(model="fake-1", prompt="a boat", size="512x512").data[0].b64_json == "aGk="


@pytest.mark.parametrize(("path", "body"), [("/rerank", RERANK), ("/images/generations", IMAGE)])
def test_a_model_that_cannot_says_so(gateway, key, path, body):
    error = post(gateway, key, path, body).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_model", "model")
    assert path in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/rerank", RERANK | {"documents": []}, "documents"),
        ("/rerank", RERANK | {"documents": [{"title": "Rome"}]}, "documents[0].title"),
        ("/rerank", RERANK | {"top_n": 0}, "top_n"),
        ("/images/generations", IMAGE | {"n": 11}, "n"),
        ("/images/generations", IMAGE | {"size": "big"}, "size"),
        ("/images/generations", IMAGE | {"stream": True}, "stream"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(able, gateway, key, path, body, param):
    assert post(gateway, key, path, body).json()["error"]["param"] == param
