"""The doors of the control plane. Bodies are the messages of protocol.control; a machine that has nothing yet fetches
the worker program here first."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.authentication import HasCredential, JoinTokenAuthentication, WorkerAuthentication, peer_of
from fleet.enrolment import enrol
from fleet.errors import BodyTooLarge, FleetError, MalformedRequest, ProtocolUnsupported
from fleet.heartbeats import record_heartbeat
from fleet.installation import install_script, worker_program
from fleet.models import Worker
from protocol import codec
from protocol.control import Enrolment, Heartbeat, Version
from protocol.version import OLDEST_ACCEPTED_VERSION, PROTOCOL_VERSION, is_supported

MAX_BODY_BYTES = 1024 * 1024

Message = TypeVar("Message")


@extend_schema(exclude=True)
class ControlView(APIView):
    """What all of them share: nothing without a credential, errors as JSON."""

    permission_classes = (HasCredential,)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return _as_json


class EnrolView(ControlView):
    authentication_classes = (JoinTokenAuthentication,)

    def post(self, request: Request) -> HttpResponse:
        return _answer(enrol(cast(str, request.auth), _message(Enrolment, request), peer=peer_of(request)), status=201)


class InstallView(ControlView):
    authentication_classes = (JoinTokenAuthentication,)

    def get(self, request: Request) -> HttpResponse:
        server = request.build_absolute_uri("/").rstrip("/")
        script = install_script(server, cast(str, request.auth), request.query_params.get("hardware", ""))
        return HttpResponse(script, content_type="text/x-shellscript", headers={"Cache-Control": "no-store"})


class ProgramView(ControlView):
    authentication_classes = (JoinTokenAuthentication,)

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(worker_program(), content_type="application/gzip")


class HeartbeatView(ControlView):
    authentication_classes = (WorkerAuthentication,)

    def post(self, request: Request) -> HttpResponse:
        beat = _message(Heartbeat, request)
        return _answer(record_heartbeat(cast(Worker, request.auth), beat, peer=peer_of(request)))


def _message(kind: type[Message], request: Request) -> Message:
    """The body, checked. Raises BodyTooLarge, ProtocolUnsupported, MalformedRequest."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES or len(request.body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"The body is longer than {MAX_BODY_BYTES} bytes.")
    try:
        # First, and alone: in another version everything else may have another shape.
        version = codec.decode(Version, request.body).protocol_version
        if not is_supported(version):
            raise ProtocolUnsupported(_version_advice(version))
        return codec.decode(kind, request.body)
    except codec.MalformedMessage as error:
        raise MalformedRequest(f"The body is not the {kind.__name__} that was expected: {error}") from error


def _version_advice(version: int) -> str:
    side = "server" if version > PROTOCOL_VERSION else "worker"
    return (
        f"The worker speaks version {version} of the control protocol, this server accepts "
        f"{OLDEST_ACCEPTED_VERSION} to {PROTOCOL_VERSION}. Upgrade the {side}."
    )


def _answer(message: object, *, status: int = 200) -> HttpResponse:
    return HttpResponse(codec.encode(message), status=status, content_type="application/json")


def _as_json(error: Exception, _context: dict[str, Any]) -> Response | None:
    match error:
        case FleetError(status=status, code=code):
            headers = {"WWW-Authenticate": 'Bearer realm="flotilla"'} if status == 401 else None
            return Response({"error": {"message": str(error), "code": code}}, status=status, headers=headers)
        case APIException(status_code=status):
            return Response({"error": {"message": str(error.detail), "code": error.default_code}}, status=status)
    return None
