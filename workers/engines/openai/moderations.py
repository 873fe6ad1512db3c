"""POST /v1/moderations: labels as categories."""

import msgspec

from protocol.moderation import is_harm, moderation_result
from workers.engines.base import Classifications
from workers.engines.openai.call import Body
from workers.engines.openai.parameters import NOTES, decode_object, read_parameters
from workers.errors import BadRequest

MAX_INPUTS = 256
THRESHOLD = 0.5
"""From here on a label is true of a text. Whoever wants another one has the scores."""


class ModerationParameters(msgspec.Struct, kw_only=True):
    """The body of the request."""

    model: str
    input: str | list[str]

    def inputs(self) -> list[str]:
        """The texts, one for each result. Raises BadRequest."""
        inputs = [self.input] if isinstance(self.input, str) else self.input
        if not 0 < len(inputs) <= MAX_INPUTS or not all(inputs):
            raise BadRequest(f"'input' takes 1 to {MAX_INPUTS} texts, none of them empty.", param="input")
        return inputs


def read_moderation(body: bytes) -> ModerationParameters:
    """The parameters in this body. Raises BadRequest."""
    return read_parameters(ModerationParameters, decode_object(body), NOTES)


def moderation_reply(parameters: ModerationParameters, found: Classifications, identity: str) -> Body:
    """The answer."""
    num_tokens = found.usage.prompt_tokens
    return {
        "id": f"modr-{identity}",
        "model": parameters.model,
        "results": [
            moderation_result(scores, {name: _is_too_high(name, score) for name, score in scores.items()})
            for scores in found.scores
        ],
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
    }


def _is_too_high(label: str, score: float) -> bool:
    return score >= THRESHOLD and is_harm(label)
