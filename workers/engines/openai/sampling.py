"""The parameters that chat and legacy completions share."""

from typing import Annotated

import msgspec

from workers.engines.base import Sampling
from workers.engines.openai.parameters import Neutral
from workers.errors import BadRequest

Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
TokenLimit = Annotated[int, msgspec.Meta(ge=1)]

MAX_STOPS = 16

# Values that ask for nothing, of parameters that both endpoints know.
NEUTRAL: Neutral = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
}


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

    def sampling(self) -> Sampling:
        """How tokens are to be chosen."""
        return Sampling(temperature=self.temperature, top_p=self.top_p, seed=self.seed)

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
