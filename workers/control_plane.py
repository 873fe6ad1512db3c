"""The worker's side of the control plane: two requests, and what their refusals mean."""

import random
from typing import TypeVar

import aiohttp

from protocol import codec
from protocol.control import (
    ENROL_PATH,
    HEARTBEAT_PATH,
    DesiredState,
    Enrolled,
    Enrolment,
    Heartbeat,
    Refusal,
    Refused,
)
from workers.errors import CredentialRefused, RequestRefused, ServerUnreachable, WorkerRevoked

Message = TypeVar("Message")

_TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
_LONGEST_PAUSE_S = 30.0


class ControlPlane:
    """The server, as a worker sees it. Every method raises ServerUnreachable or RequestRefused."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def enrol(self, join_token: str, enrolment: Enrolment) -> Enrolled:
        return _decoded(Enrolled, await self._post(ENROL_PATH, join_token, codec.encode(enrolment)))

    async def beat(self, credential: str, heartbeat: Heartbeat) -> DesiredState:
        return _decoded(DesiredState, await self._post(HEARTBEAT_PATH, credential, codec.encode(heartbeat)))

    async def _post(self, path: str, token: str, body: bytes) -> bytes:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = self._server + path
        try:
            # A redirect could carry the credential to a stranger.
            answering = self._session.post(url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
            async with answering as answer:
                content = await answer.read()
        except aiohttp.ClientSSLError as error:
            raise ServerUnreachable(
                f"{self._server} is not trusted: {error}. If its CA is your own, name it with --ca-file."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnreachable(f"{self._server} cannot be reached: {error or type(error).__name__}") from error
        if answer.status in (200, 201):
            return content
        raise _refusal(answer, content)


def pause_after(num_failures: int) -> float:
    """Seconds until the next try: 0.5, 1, 2, 4 ... 30, each ±10 % so that a fleet does not come back in step."""
    return jittered(min(_LONGEST_PAUSE_S, 0.5 * 2 ** min(num_failures - 1, 10)))


def jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)


def _decoded(kind: type[Message], body: bytes) -> Message:
    try:
        return codec.decode(kind, body)
    except codec.MalformedMessage as error:
        raise RequestRefused(f"The server's answer is not a {kind.__name__}: {error}. Is this Flotilla?") from error


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> RequestRefused | ServerUnreachable:
    if answer.status >= 500 or answer.status in (408, 429):
        return ServerUnreachable(f"The server answers {answer.status} {answer.reason}.")
    if 300 <= answer.status < 400:
        return RequestRefused(
            f"The server redirects to {answer.headers.get('Location')}: use its own address as --server."
        )
    try:
        refusal = codec.decode(Refused, body).error
    except codec.MalformedMessage:
        refusal = Refusal(message=f"{answer.status} {answer.reason}. Is this a Flotilla server?", code="")
    if refusal.code == "worker_revoked":
        return WorkerRevoked(refusal.message)
    return (CredentialRefused if answer.status == 401 else RequestRefused)(refusal.message)
