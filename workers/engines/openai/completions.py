"""POST /v1/completions, the legacy endpoint: raw prompts, no template."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import msgspec

from workers.engines.base import Finished, Generate, GenerationEvent, TextDelta, TokenLogprob, Usage
from workers.engines.openai.call import LEAST_LOGPROB, Body, Choice, Envelope, GenerationCall
from workers.engines.openai.parameters import NOTES, Neutral, decode_object, read_parameters
from workers.engines.openai.sampling import MAX_CHOICES, SamplingParameters
from workers.engines.openai.structured import read_form
from workers.errors import BadRequest

NEUTRAL: Neutral = {**NOTES, "best_of": (1,), "suffix": ("",)}

DEFAULT_MAX_TOKENS = 16
"""OpenAI's own, for this endpoint alone."""
MAX_PROMPTS = 16
"""Within every engine's waiting line, so that one request's prompts can all be accepted together."""

_KIND = "text_completion"


class CompletionParameters(SamplingParameters, kw_only=True):
    """The body of the request."""

    prompt: str | list[str | int | list[int]]
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    echo: bool = False

    def num_logprobs(self) -> int | None:
        return self.logprobs


def read_completion(body: bytes, request_id: str) -> GenerationCall:
    """The call in this body: one generation for each prompt. Raises BadRequest."""
    parameters = read_parameters(CompletionParameters, decode_object(body), NEUTRAL)
    parameters.check_stream_options()
    is_usage_wanted = bool(parameters.stream_options.include_usage)
    envelope = Envelope(id=f"cmpl-{request_id}", model=parameters.model, is_usage_wanted=is_usage_wanted)
    if parameters.echo and parameters.logprobs is not None:
        raise BadRequest("'echo' cannot be combined with 'logprobs': a prompt's are not known.", param="echo")
    prompts = split_inputs(parameters.prompt, param="prompt")
    if len(prompts) > MAX_PROMPTS:
        raise BadRequest(f"'prompt' takes up to {MAX_PROMPTS} prompts in one request.", param="prompt")
    if len(prompts) * parameters.n > MAX_CHOICES:
        raise BadRequest(f"One request takes up to {MAX_CHOICES} choices, over all prompts.", param="n")
    return GenerationCall(
        generates=[
            _generate(parameters, prompt, request_id, choice) for prompt in prompts for choice in range(parameters.n)
        ],
        capability="completions",
        needs=parameters.needs(),
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
            case TextDelta(text=text, logprobs=logprobs):
                return [self.envelope.chunk(_KIND, [_choice_body(index, text, None, logprobs)])]
            case Finished(finish_reason=reason):
                return [self.envelope.chunk(_KIND, [_choice_body(index, "", reason)])]
            case _:
                return []

    def usage_chunk(self, usage: Usage) -> Body:
        return self.envelope.usage_chunk(_KIND, usage)

    def whole(self, choices: list[Choice], usage: Usage) -> Body:
        bodies = [
            _choice_body(index, choice.text, choice.finish_reason, choice.logprobs)
            for index, choice in enumerate(choices)
        ]
        return self.envelope.whole(_KIND, bodies, usage)


def _generate(parameters: CompletionParameters, prompt: str | list[int], request_id: str, choice: int) -> Generate:
    return Generate(
        request_id=request_id,
        model=parameters.model,
        prompt=prompt if isinstance(prompt, str) else None,
        prompt_tokens=None if isinstance(prompt, str) else prompt,
        max_tokens=parameters.max_tokens or DEFAULT_MAX_TOKENS,
        stop=parameters.stops(),
        sampling=parameters.sampling(choice),
        form=read_form(None, parameters.structured_outputs),
        echoes_prompt=parameters.echo,
        is_further_choice=choice > 0,
    )


def _choice_body(index: int, text: str, finish_reason: str | None, logprobs: Sequence[TokenLogprob] = ()) -> Body:
    return {"text": text, "index": index, "logprobs": _logprobs_body(logprobs), "finish_reason": finish_reason}


def _logprobs_body(logprobs: Sequence[TokenLogprob]) -> Body | None:
    if not logprobs:
        return None
    # JSON knows no minus infinity.
    top = [{other.text: max(other.logprob, LEAST_LOGPROB) for other in item.top} or None for item in logprobs]
    offsets = accumulate((len(item.text) for item in logprobs[:-1]), initial=0)
    return {
        "tokens": [item.text for item in logprobs],
        "token_logprobs": [max(item.logprob, LEAST_LOGPROB) for item in logprobs],
        "top_logprobs": top,
        "text_offset": list(offsets),
    }
