"""POST /v1/rerank, in the words that Jina, Cohere and vLLM share."""

from typing import Annotated

import msgspec

from workers.engines.base import Ranking
from workers.engines.openai.call import Body
from workers.engines.openai.parameters import NOTES, decode_object, read_parameters

MAX_DOCUMENTS = 2048


class RerankParameters(msgspec.Struct, kw_only=True):
    """The body of the request."""

    model: str
    query: Annotated[str, msgspec.Meta(min_length=1)]
    documents: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool = False


def read_rerank(body: bytes) -> RerankParameters:
    """The parameters in this body. Raises BadRequest."""
    return read_parameters(RerankParameters, decode_object(body), NOTES)


def rerank_reply(parameters: RerankParameters, ranking: Ranking, identity: str) -> Body:
    """The answer: the best first, those that are equal in the order in which they came."""
    order = sorted(range(len(ranking.scores)), key=lambda index: -ranking.scores[index])
    num_tokens = ranking.usage.prompt_tokens
    return {
        "id": f"rerank-{identity}",
        "model": parameters.model,
        "results": [_result(parameters, index, ranking.scores[index]) for index in order[: parameters.top_n]],
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
    }


def _result(parameters: RerankParameters, index: int, score: float) -> Body:
    result: Body = {"index": index, "relevance_score": score}
    return {**result, "document": {"text": parameters.documents[index]}} if parameters.return_documents else result
