"""The parameters that chat and legacy completions share."""

from typing import Annotated

import msgspec

from protocol.parameters import needed
from workers.engines.base import Sampling
from workers.engines.openai.structured import StructuredOutputs
from workers.errors import BadRequest

Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
TokenLimit = Annotated[int, msgspec.Meta(ge=1)]

MAX_STOPS = 16
MAX_BIASED = 1024

Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Bias = Annotated[float, msgspec.Meta(ge=-100, le=100)]
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
MAX_CHOICES = 16
"""Within every engine's waiting line, so that all choices can be accepted together."""


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How a stream is to be sent."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """True pads chunks against eavesdroppers who read sizes; engine and gateway share a host or a private link."""


class SamplingParameters(msgspec.Struct, kw_only=True):
    """The fields themselves."""

    model: str
    stream: bool = False
    stream_options: StreamOptions = msgspec.field(default_factory=StreamOptions)
    temperature: Temperature | None = None
    top_p: Probability | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    max_tokens: TokenLimit | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] = 1
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: dict[str, Bias] = msgspec.field(default_factory=dict)
    # From here on the names are vLLM's.
    top_k: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] = 0
    min_p: Probability = 0.0
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0
    min_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    ignore_eos: bool = False
    stop_token_ids: Annotated[list[TokenId], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=list)
    structured_outputs: StructuredOutputs | None = None

    def num_logprobs(self) -> int | None:
        """How many alternatives are to be told for each token; None: not even its own probability."""
        raise NotImplementedError

    def sampling(self, choice: int) -> Sampling:
        """How the tokens of choice number `choice` are to be chosen. Raises BadRequest."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            # Each choice has a seed of its own: otherwise all would be the same.
            seed=None if self.seed is None else self.seed + choice,
            top_k=max(0, self.top_k),
            min_p=self.min_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias=_read_bias(self.logit_bias),
            min_tokens=self.min_tokens,
            ignores_end=self.ignore_eos,
            stop_tokens=frozenset(self.stop_token_ids),
            logprobs=self.num_logprobs(),
        )

    def needs(self) -> dict[str, str]:
        """See protocol.parameters.needed."""
        return needed(msgspec.structs.asdict(self))

    def stops(self) -> tuple[str, ...]:
        """The stop strings. Raises BadRequest."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > MAX_STOPS or not all(stops):
            raise BadRequest(f"'stop' takes up to {MAX_STOPS} strings, none of them empty.", param="stop")
        return tuple(stops)

    def check_stream_options(self) -> None:
        """Raises BadRequest for options that cannot be kept."""
        if self.stream_options.include_obfuscation:
            raise BadRequest(
                "Unsupported parameter: 'stream_options.include_obfuscation' cannot be true here. Leave it out.",
                param="stream_options.include_obfuscation",
                code="unsupported_parameter",
            )
        if self.stream_options.include_usage is not None and not self.stream:
            raise BadRequest("'stream_options' is only allowed when 'stream' is true.", param="stream_options")


def _read_bias(given: dict[str, float]) -> dict[int, float]:
    if len(given) > MAX_BIASED or not all(token.isascii() and token.isdigit() for token in given):
        raise BadRequest(f"'logit_bias' takes up to {MAX_BIASED} token ids, each with a number.", param="logit_bias")
    return {int(token): bias for token, bias in given.items()}
