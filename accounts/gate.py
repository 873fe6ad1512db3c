"""What people who are signed in have to do before anything else works. Programs come with keys, and are not held up."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from channels.security.websocket import WebsocketDenier
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import User

ALWAYS_OPEN = frozenset({"account_logout", "theme", "set_language"})
"""The views that somebody needs who will not do it."""


class Gate:
    """Middleware. `open_views` are what it takes to do it, `page` where that begins, `message` and `code` for programs
    that use the pages' sessions."""

    open_views: ClassVar[frozenset[str]]
    page: ClassVar[str]
    message: ClassVar[Any]
    code: ClassVar[str]

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    @staticmethod
    def is_closed_to(user: User) -> bool:
        raise NotImplementedError

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
        match = request.resolver_match
        if (match and match.view_name in self.open_views) or not request.user.is_authenticated:
            return None
        return self._refusal(request) if self.is_closed_to(request.user) else None

    def _refusal(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/api/"):
            return JsonResponse({"error": {"message": str(self.message), "code": self.code}}, status=403)
        back = request.get_full_path() if request.method == "GET" else "/"
        return HttpResponseRedirect(f"{reverse(self.page)}?{urlencode({'next': back})}")


class GatedSocket:
    """The same for websockets; belongs inside of what puts the user into the scope."""

    def __init__(self, application: Callable[..., Awaitable[None]], gates: Sequence[type[Gate]]) -> None:
        self._application = application
        self._gates = gates
        self._denier = WebsocketDenier.as_asgi()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        user = scope["user"]
        is_closed = user.is_authenticated and await sync_to_async(self._is_closed_to)(user)
        await (self._denier if is_closed else self._application)(scope, receive, send)

    def _is_closed_to(self, user: User) -> bool:
        return any(gate.is_closed_to(user) for gate in self._gates)
