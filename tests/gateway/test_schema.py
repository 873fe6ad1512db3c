"""The OpenAPI document is drawn from the types that check requests."""

from drf_spectacular.generators import SchemaGenerator


def test_the_document_holds_every_endpoint_and_every_parameter():
    document = SchemaGenerator(urlconf="gateway.api.urls").get_schema(request=None, public=True)
    assert {"/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"} <= set(document["paths"])
    assert "max_completion_tokens" in document["components"]["schemas"]["ChatRequest"]["properties"]
