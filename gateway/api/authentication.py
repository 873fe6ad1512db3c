"""Who is calling, by the key in the Authorization header. In memory; the database is never asked."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from gateway.errors import InvalidAPIKey, NotReady, PermissionDenied
from gateway.keyring import Caller
from gateway.models import KeyScope
from gateway.runtime import current
from protocol.tokens import TokenKind, is_well_formed


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer sk-flt-...`"""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        """Raises InvalidAPIKey, also where there is no key; PermissionDenied; NotReady before any key is known."""
        secret = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if not secret:
            raise InvalidAPIKey("You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY.")
        poller = current().poller
        if not poller.has_read:
            raise NotReady
        caller = poller.latest.keyring.caller(secret)
        if caller is None:
            raise InvalidAPIKey("The API key is unknown, expired or revoked. Ask your administrator for a new one.")
        if KeyScope.INFERENCE not in caller.scopes:
            raise PermissionDenied("This API key is not for calling models. Use one that is, or ask for it.")
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


async def await_new_key(header: str) -> None:
    """A key that we do not know may have been made a moment ago: wait for the next reading of the keys.

    Only what looks like a key, checksum included, is worth the wait; and nothing is asked of the database for it.
    """
    secret, poller = bearer_token(header), current().poller
    if is_well_formed(secret, TokenKind.API_KEY) and poller.latest.keyring.caller(secret) is None:
        await poller.next_reading()


def bearer_token(header: str) -> str:
    """The token of an Authorization header; empty if it has none of that kind."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
