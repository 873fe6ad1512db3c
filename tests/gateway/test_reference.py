"""The OpenAPI documents are whole, and people can read them."""

import re

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from drf_spectacular.generators import SchemaGenerator

from gateway.reference import operations, types

DOCUMENTS = {"gateway.api.urls": "Error", "gateway.api.management.urls": "FleetError"}


def document(urlconf: str) -> dict:
    return SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)


def addresses(patterns, before: str = "") -> set[str]:
    """As the document writes them; without those that give the document itself."""
    found: set[str] = set()
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            plain = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", address).replace("^", "").replace("\\Z", "").rstrip("$")
            found.add("/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", plain).replace("{pk}", "{id}"))
        else:
            found |= addresses(pattern.url_patterns, address)
    return {address for address in found if not address.endswith("/schema")}


@pytest.mark.parametrize("urlconf", DOCUMENTS)
def test_every_address_is_in_the_document(urlconf):
    assert addresses(get_resolver(urlconf).url_patterns) == set(document(urlconf)["paths"])


@pytest.mark.parametrize(("urlconf", "error"), DOCUMENTS.items())
def test_every_operation_tells_the_shape_of_its_errors(urlconf, error):
    for operation in operations(document(urlconf)):
        (told,) = [answer for answer in operation.answers if answer.status == "default"]
        assert told.kind.types == (error,), operation


@pytest.mark.parametrize("urlconf", DOCUMENTS)
def test_every_type_that_is_named_is_there(urlconf):
    whole = document(urlconf)
    fields = [field for one in types(whole) for field in one.fields]
    assert {name for field in fields for name in field.kind.types} <= set(whole["components"]["schemas"])


@pytest.mark.parametrize(
    ("path", "named"),
    [("/reference/", "/v1/chat/completions"), ("/reference/fleet/", "/api/fleet/v1/workers/{id}/drain")],
)
def test_who_is_signed_in_reads_it_as_a_page(admin_client, path, named):
    page = admin_client.get(path)
    assert named in page.content.decode()
    assert "<script" not in page.content.decode().split("</head>")[1]


def test_nobody_else_does(db):
    assert Client().get("/reference/").status_code == 302


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/reference/", ["回答一段对话。", "请求体。"]),
        ("/reference/fleet/", ["移走其上的所有副本。", "自定义的名称，以及由谁应答。"]),
    ],
)
def test_what_operations_do_is_told_in_chinese_as_well(admin_client: Client, path, said):
    page = admin_client.get(path, headers={"accept-language": "zh-hans"}).content.decode()
    assert [words for words in said if words not in page] == []
