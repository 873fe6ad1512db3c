"""Who is calling, by the key in a header. In memory; the database is never asked."""

from typing import Any, ClassVar, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from gateway.errors import InvalidAPIKey, NotReady
from gateway.keyring import Caller
from gateway.models import KeyScope
from gateway.runtime import current
from protocol.tokens import TokenKind, hash_token, is_well_formed


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer sk-flt-...`"""

    header: ClassVar = "Authorization: Bearer YOUR_KEY"

    def secret(self, request: Request | HttpRequest) -> str:
        """The key that the request shows; empty without one."""
        return bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        """Raises InvalidAPIKey, also where there is no key; AddressRefused; NotReady before any key is known."""
        secret = self.secret(request)
        if not secret:
            raise InvalidAPIKey(f"You didn't provide an API key. Send it as a header: {self.header}.")
        poller = current().poller
        if not poller.has_read:
            raise NotReady
        entry = poller.latest.keyring.require(hash_token(secret))
        return entry.admit(request.META.get("REMOTE_ADDR", "")), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class AnthropicAuthentication(BearerAuthentication):
    """`x-api-key: sk-flt-...`, or as at OpenAI's endpoints."""

    header: ClassVar = "x-api-key: YOUR_KEY"

    def secret(self, request: Request | HttpRequest) -> str:
        return request.META.get("HTTP_X_API_KEY", "").strip() or super().secret(request)


class MayCallModels(BasePermission):
    """The key is for calling models."""

    scope: ClassVar = KeyScope.INFERENCE

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises PermissionDenied."""
        cast(Caller, request.user).require(self.scope)
        return True


class MayReadUsage(MayCallModels):
    """The key is for reading its own usage."""

    scope: ClassVar = KeyScope.USAGE


async def await_new_key(secret: str) -> None:
    """A key that we do not know may have been made a moment ago: wait for the next reading of the keys.

    Only what looks like a key, checksum included, is worth the wait; and nothing is asked of the database for it.
    """
    poller = current().poller
    if is_well_formed(secret, TokenKind.API_KEY) and poller.latest.keyring.entry(secret) is None:
        await poller.next_reading()


def bearer_token(header: str) -> str:
    """The token of an Authorization header; empty if it has none of that kind."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
