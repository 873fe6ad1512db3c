"""What a worker tells when somebody looks: the end of its log, the models on its disk. Nothing of it is kept."""

from typing import TypeVar

import aiohttp
from django.utils.translation import gettext

from fleet.errors import ActRefused, WorkerNotReached
from fleet.models import Worker
from fleet.worker_calls import ask, failure_of
from protocol.codec import MalformedMessage, decode
from protocol.control import Refused
from protocol.inspection import LOG_PATH, STORE_PATH, LogTail, StoreListing
from protocol.redaction import redact

Message = TypeVar("Message")

_LOG_TIMEOUT_S, _STORE_TIMEOUT_S, _DELETE_TIMEOUT_S = 3.0, 20.0, 60.0
_MAX_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024


async def read_log(worker: Worker) -> tuple[str, ...]:
    """The last lines of its log and its engines', the latest last. Raises WorkerNotReached."""
    status, body = await _ask(worker, ("GET", LOG_PATH), _LOG_TIMEOUT_S)
    # The worker has taken secrets out by what it knows; it may be older, and know less.
    return tuple(redact(line) for line in _message(LogTail, status, body).lines)


async def read_store(worker: Worker) -> StoreListing:
    """The models on its disk. Raises WorkerNotReached."""
    return _message(StoreListing, *await _ask(worker, ("GET", STORE_PATH), _STORE_TIMEOUT_S))


async def delete_model(worker: Worker, source: str) -> None:
    """Delete a downloaded model from its disk. Raises ActRefused if the worker has none such, or uses it, or cannot
    be reached."""
    try:
        status, body = await _ask(worker, ("DELETE", STORE_PATH), _DELETE_TIMEOUT_S, source=source)
    except WorkerNotReached as error:
        raise ActRefused(str(error)) from error
    if status != 204:
        raise ActRefused(_complaint(status, body))


async def _ask(worker: Worker, request: tuple[str, str], timeout_s: float, **query: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            async with ask(session, worker, request, timeout_s=timeout_s, **query) as answer:
                return answer.status, await _bounded(answer)
        except (aiohttp.ClientError, OSError) as error:
            raise WorkerNotReached(str(failure_of(error).label)) from error


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_BYTES:
            raise WorkerNotReached(gettext("it answers with more than a worker ever would"))
    return bytes(body)


def _message(kind: type[Message], status: int, body: bytes) -> Message:
    if status != 200:
        raise WorkerNotReached(_complaint(status, body))
    try:
        return decode(kind, body)
    except MalformedMessage as error:
        raise WorkerNotReached(str(error)) from error


def _complaint(status: int, body: bytes) -> str:
    """In its own words, if it speaks as workers do."""
    try:
        refusal = decode(Refused, body).error
    except MalformedMessage:
        return gettext("it answers with status %(status)d") % {"status": status}
    if refusal.code == "bad_request" and status == 404:
        return gettext("its program is older and does not tell this; install the server’s version there")
    return redact(refusal.message)
