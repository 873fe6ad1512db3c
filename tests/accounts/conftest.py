import os
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

_number = count()


@pytest.fixture(autouse=True)
def _attempts_of_its_own(settings) -> None:
    """A cache is no part of the database: what a test tried is still counted when the next one comes."""
    cache = settings.CACHES.get("default")
    settings.CACHES = {"default": cache | {"KEY_PREFIX": f"test-{os.getpid()}-{next(_number)}"}} if cache else {}


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="correct horse")


@pytest.fixture
def ada_client(client: Client, ada) -> Client:
    """A browser in which Ada has signed in."""
    client.post("/login/", {"login": "ada", "password": "correct horse"})
    return client
