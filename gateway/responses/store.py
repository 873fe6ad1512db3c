"""Responses are kept, found and forgotten here. A caller sees those of its owner, and no others."""

from typing import Any

import msgspec
from channels.db import database_sync_to_async

from gateway.errors import ResponseNotFound
from gateway.keyring import Caller
from gateway.models import StoredResponse

Body = dict[str, Any]


@database_sync_to_async
def keep(caller: Caller, body: Body, messages: list[Body]) -> None:
    """`messages`: the conversation, this answer included."""
    if caller.user_id is None:
        return
    StoredResponse.objects.create(
        id=body["id"],
        owner_id=caller.user_id,
        body=msgspec.json.encode(body),
        messages=msgspec.json.encode(messages),
    )
    StoredResponse.objects.beyond_limit(caller.user_id).delete()


@database_sync_to_async
def find(caller: Caller, response_id: str, *, param: str | None = None) -> StoredResponse:
    """Raises ResponseNotFound."""
    stored = StoredResponse.objects.filter(pk=response_id, owner_id=caller.user_id).first()
    if stored is None:
        raise ResponseNotFound(response_id, param=param)
    return stored


@database_sync_to_async
def forget(caller: Caller, response_id: str) -> None:
    """Raises ResponseNotFound."""
    if not StoredResponse.objects.filter(pk=response_id, owner_id=caller.user_id).delete()[0]:
        raise ResponseNotFound(response_id)
