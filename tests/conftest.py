from collections.abc import Iterator

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database can go only when nobody is connected; async tests leave a connection in asgiref's thread."""
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
