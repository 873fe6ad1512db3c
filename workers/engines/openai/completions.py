"""POST /v1/completions, the legacy endpoint: raw prompts, no template."""

from dataclasses import dataclass

from workers.engines.base import Finished, Generate, GenerationEvent, TextDelta, Usage
from workers.engines.openai.call import Body, Choice, Envelope, GenerationCall
from workers.engines.openai.parameters import NOTES, Neutral, decode_object, read_parameters
from workers.engines.openai.sampling import NEUTRAL as NEUTRAL_IN_SAMPLING
from workers.engines.openai.sampling import SamplingParameters
from workers.errors import BadRequest

NEUTRAL: Neutral = {**NOTES, **NEUTRAL_IN_SAMPLING, "logprobs": (), "echo": (False,), "best_of": (1,), "suffix": ("",)}

DEFAULT_MAX_TOKENS = 16
"""OpenAI's own, for this endpoint alone."""
MAX_PROMPTS = 16
"""Within every engine's waiting line, so that one request's prompts can all be accepted together."""

_KIND = "text_completion"


class CompletionParameters(SamplingParameters, kw_only=True):
    """The body of the request."""

    prompt: str | list[str | int | list[int]]


def read_completion(body: bytes, request_id: str) -> GenerationCall:
    """The call in this body: one generation for each prompt. Raises BadRequest."""
    parameters = read_parameters(CompletionParameters, decode_object(body), NEUTRAL)
    parameters.check_stream_options()
    is_usage_wanted = bool(parameters.stream_options.include_usage)
    envelope = Envelope(id=f"cmpl-{request_id}", model=parameters.model, is_usage_wanted=is_usage_wanted)
    prompts = split_inputs(parameters.prompt, param="prompt")
    if len(prompts) > MAX_PROMPTS:
        raise BadRequest(f"'prompt' takes up to {MAX_PROMPTS} prompts in one request.", param="prompt")
    return GenerationCall(
        generates=[_generate(parameters, prompt, request_id) for prompt in prompts],
        capability="completions",
        reply=CompletionReply(envelope),
        is_stream=parameters.stream,
        is_usage_wanted=is_usage_wanted,
    )


def split_inputs(given: str | list[str | int | list[int]], *, param: str) -> list[str] | list[list[int]]:
    """One or several texts, or one or several lists of token ids. Raises BadRequest when mixed or empty."""
    if isinstance(given, str):
        return [given]
    texts = [item for item in given if isinstance(item, str)]
    ids = [item for item in given if isinstance(item, int)]
    lists = [item for item in given if isinstance(item, list)]
    if len(given) not in (len(texts), len(ids), len(lists)) or not given or not all(lists):
        raise BadRequest(
            f"'{param}' must be a string, a list of strings, a list of token ids or a list of lists of token ids, "
            "and none of the lists empty.",
            param=param,
        )
    return texts or lists or [ids]


@dataclass(frozen=True, slots=True)
class CompletionReply:
    """The answer in the words of this endpoint."""

    envelope: Envelope

    def chunks(self, index: int, event: GenerationEvent) -> list[Body]:
        match event:
            case TextDelta(text=text):
                return [self.envelope.chunk(_KIND, [_choice_body(index, text, None)])]
            case Finished(finish_reason=reason):
                return [self.envelope.chunk(_KIND, [_choice_body(index, "", reason)])]
            case _:
                return []

    def usage_chunk(self, usage: Usage) -> Body:
        return self.envelope.usage_chunk(_KIND, usage)

    def whole(self, choices: list[Choice], usage: Usage) -> Body:
        bodies = [_choice_body(index, choice.text, choice.finish_reason) for index, choice in enumerate(choices)]
        return self.envelope.whole(_KIND, bodies, usage)


def _generate(parameters: CompletionParameters, prompt: str | list[int], request_id: str) -> Generate:
    return Generate(
        request_id=request_id,
        prompt=prompt if isinstance(prompt, str) else None,
        prompt_tokens=None if isinstance(prompt, str) else prompt,
        max_tokens=parameters.max_tokens or DEFAULT_MAX_TOKENS,
        stop=parameters.stops(),
        sampling=parameters.sampling(),
    )


def _choice_body(index: int, text: str, finish_reason: str | None) -> Body:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}
