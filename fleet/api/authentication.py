"""Who dials in: a machine with a join token, or a worker with its credential. Both as `Authorization: Bearer`."""

import logging

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from fleet.enrolment import usable_join_token
from fleet.errors import CredentialRefused
from fleet.membership import worker_with_credential
from fleet.models import Worker

logger = logging.getLogger(__name__)


class _BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[None, object]:
        try:
            return None, self.credential(_bearer_token(request), peer_of(request))
        except CredentialRefused as refused:
            logger.warning("Refused %s from %s: %s", request.path, peer_of(request), refused)
            raise

    def credential(self, token: str, peer: str) -> object:
        """What `request.auth` becomes. Raises CredentialRefused."""
        raise NotImplementedError


class JoinTokenAuthentication(_BearerAuthentication):
    """`request.auth` is the text of a join token that is usable at this moment."""

    def credential(self, token: str, peer: str) -> str:
        usable_join_token(token, peer)
        return token


class WorkerAuthentication(_BearerAuthentication):
    """`request.auth` is the worker."""

    def credential(self, token: str, peer: str) -> Worker:
        return worker_with_credential(token)


class HasCredential(BasePermission):
    """Nothing here answers to strangers."""

    def has_permission(self, request: Request, view: object) -> bool:
        return request.auth is not None


def peer_of(request: Request) -> str:
    """The IP address that asks; behind a proxy, what the web server believes of X-Forwarded-For: docs/joining.md."""
    return str(request.META.get("REMOTE_ADDR", ""))


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise CredentialRefused("A credential is needed: send it as “Authorization: Bearer ...”.")
    return token.strip()
