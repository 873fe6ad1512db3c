"""Keys that manage the fleet. Not on the hot path, so the database itself is asked."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts.models import User
from fleet.addresses import is_within
from fleet.api.authentication import peer_of
from gateway.api.authentication import bearer_token
from gateway.key_use import note_key_use
from gateway.models import APIKey, KeyScope
from protocol.tokens import hash_token


class ManagementKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer sk-flt-...`: the caller is the key's owner."""

    def authenticate(self, request: Request) -> tuple[User, APIKey] | None:
        """None without a key: perhaps there is a session. Raises AuthenticationFailed, PermissionDenied."""
        secret = bearer_token(request.headers.get("Authorization", ""))
        if not secret:
            return None
        key = APIKey.objects.usable().select_related("owner").with_hash(hash_token(secret)).first()
        if key is None:
            raise AuthenticationFailed("The API key is unknown, disabled, expired or revoked.")
        if key.networks and not is_within(peer_of(request), key.networks):
            raise AuthenticationFailed("This API key may not be used from your network.")
        if KeyScope.FLEET not in key.scopes:
            raise PermissionDenied("This API key does not manage the fleet. Issue one in the admin that does.")
        note_key_use(key, peer_of(request), uses_previous_secret=key.previous_hash == hash_token(secret))
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
