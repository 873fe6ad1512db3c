"""The engine server's embeddings, as OpenAI's client meets them."""

import base64
import struct
from typing import Any

import openai
import pytest

from tests.workers.engines.conftest import post


async def test_embeddings_come_in_order_whatever_the_encoding(echo_client: openai.AsyncOpenAI) -> None:
    # The client asks for base64 by itself and decodes it.
    decoded = await echo_client.embeddings.create(model="m", input=["a", "b c"])
    plain = (await post(echo_client, "embeddings", {"model": "m", "input": ["a", "b c"]})).json()

    for ours, theirs in zip(plain["data"], decoded.data, strict=True):
        assert ours["embedding"] == pytest.approx(theirs.embedding, abs=1e-6)
    assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_base64_is_little_endian_float32(echo_client: openai.AsyncOpenAI) -> None:
    body = {"model": "m", "input": "a", "encoding_format": "base64"}

    data = (await post(echo_client, "embeddings", body)).json()["data"][0]["embedding"]

    vector = struct.unpack("<64f", base64.b64decode(data))
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"dimensions": 8}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [1, 100_256]}, "input"),
        ({"input": "x " * 10_000}, "input"),
    ],
)
async def test_wrong_embedding_parameters_are_refused_by_name(
    echo_client: openai.AsyncOpenAI, options: dict[str, Any], param: str
) -> None:
    response = await post(echo_client, "embeddings", {"model": "m", "input": "a", **options})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
