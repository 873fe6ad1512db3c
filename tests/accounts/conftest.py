import pytest
from django.contrib.auth import get_user_model
from django.test import Client


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="correct horse")


@pytest.fixture
def ada_client(client: Client, ada) -> Client:
    """A browser in which Ada has signed in."""
    client.post("/login/", {"login": "ada", "password": "correct horse"})
    return client
