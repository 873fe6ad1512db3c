"""POST /v1/embeddings."""

import base64
import struct
from typing import Annotated, Literal

import msgspec

from workers.engines.base import Embeddings
from workers.engines.openai.call import Body
from workers.engines.openai.completions import split_inputs
from workers.engines.openai.parameters import NOTES, decode_object, read_parameters
from workers.errors import BadRequest

MAX_INPUTS = 2048
"""OpenAI's own."""


class EmbeddingParameters(msgspec.Struct, kw_only=True):
    """The body of the request."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def inputs(self) -> list[str] | list[list[int]]:
        """The inputs, one for each vector. Raises BadRequest."""
        inputs = split_inputs(self.input, param="input")
        if len(inputs) > MAX_INPUTS or not all(inputs):
            raise BadRequest(f"'input' takes 1 to {MAX_INPUTS} inputs, none of them empty.", param="input")
        return inputs


def read_embedding(body: bytes) -> EmbeddingParameters:
    """The parameters in this body. Raises BadRequest."""
    return read_parameters(EmbeddingParameters, decode_object(body), NOTES)


def embedding_reply(parameters: EmbeddingParameters, embeddings: Embeddings) -> Body:
    """The answer; base64 holds little-endian 32-bit floats, which is what the openai package asks for by itself."""
    encode = _base64 if parameters.encoding_format == "base64" else list
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(embeddings.vectors)
        ],
        "model": parameters.model,
        "usage": {
            "prompt_tokens": embeddings.usage.prompt_tokens,
            "total_tokens": embeddings.usage.prompt_tokens,
        },
    }


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
