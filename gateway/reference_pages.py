"""The pages of the two OpenAPI documents: what programs call, and what programs manage."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator

from gateway import reference


@login_required
def inference(request: HttpRequest) -> HttpResponse:
    return _page(request, "gateway.api.urls", {"document_url": "/api/schema/", "is_fleet": False})


@login_required
def management(request: HttpRequest) -> HttpResponse:
    return _page(request, "gateway.api.management.urls", {"document_url": "/api/fleet/v1/schema", "is_fleet": True})


def _page(request: HttpRequest, urlconf: str, context: dict[str, Any]) -> HttpResponse:
    generator = SchemaGenerator(urlconf=urlconf)  # type: ignore[no-untyped-call]
    document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found = {"operations": reference.operations(document), "types": reference.types(document)}
    return render(request, "gateway/reference.html", context | found)
