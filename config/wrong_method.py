"""What a person sees at an address that only takes forms, such as after signing in again on the way to one."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin


class WrongMethodPage(MiddlewareMixin):
    """Django's own answer has no content, which browsers show as a failure of the network."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not isinstance(response, HttpResponseNotAllowed) or response.content:
            return response
        return _page(request, response)


def _page(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    page = render(request, "405.html", status=HTTPStatus.METHOD_NOT_ALLOWED)
    page["Allow"] = response["Allow"]
    return page
