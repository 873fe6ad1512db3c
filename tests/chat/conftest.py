"""Two people, a conversation of the one, and a gateway with a replica behind it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connections

from chat import live
from chat.models import Conversation, Message
from gateway import runtime
from tests.gateway.conftest import add_replica
from tests.gateway.fake_replica import FakeReplica

MODEL = "fake-1"


@pytest.fixture
def ada(db: None):
    return get_user_model().objects.create_user("ada", password="correct horse")


@pytest.fixture
def eve(db: None):
    return get_user_model().objects.create_user("eve", password="battery staple")


@pytest.fixture
def conversation(ada) -> Conversation:
    return Conversation.objects.create(owner=ada, model=MODEL)


@pytest.fixture
def fake() -> Iterator[FakeReplica]:
    replica = FakeReplica()
    yield replica
    replica.close()


@pytest.fixture
async def gateway(
    transactional_db: None, patience: None, settings: Any, tmp_path: Any, fake: FakeReplica
) -> AsyncIterator[Any]:
    """A running gateway of this process. It knows the model "fake-1", with one replica."""

    settings.JOURNAL_DIR = tmp_path / "journal"
    await sync_to_async(add_replica)(fake.url, model=MODEL)
    yield await runtime.ready()
    await live.shut_down()
    await runtime.stop()
    # The thread that async code reaches the database through outlives the test; PostgreSQL keeps no database in use.
    await sync_to_async(connections.close_all)()


def add_turn(conversation: Conversation, text: str, answer: str, **fields: Any) -> Message:
    """A question and its answer at the end of the shown branch; gives the answer."""
    asked = conversation.messages.create(parent_id=conversation.leaf_id, role="user", text=text)
    answered = conversation.messages.create(parent=asked, role="assistant", text=answer, model=MODEL, **fields)
    conversation.leaf = answered
    conversation.save()
    return answered
