"""What is measured: cases, which peers take part in each, and the ratios that are wanted. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.engine.client import Load

FASTCHAT, SERVE, BATCHING = "FastChat", "transformers serve", "transformers serve, continuous batching"
LLAMA = "llama.cpp's server"
CLIENTS = (1, 4, 16, 64)
MAX_FIRST_TOKEN_RATIO = 4.0
"""Of the 99th percentile to the median of the time to the first token, with 64 clients."""
_TEMPLATE_TOKENS = 24
_REQUESTS = {1: 8, 4: 2}
"""Of each client: few clients ask more than once, since the answer to one alone is over too soon to be timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, one kind of request, any numbers of clients. `peers`: with how many clients each is asked at most."""

    model: str
    dtype: str
    num_words: int = 24
    max_tokens: int
    temperature: float = 0.0
    peers: Mapping[str, int]
    max_clients: int = 64
    num_rounds: int = 3
    wanted: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Tokens per second of ours over a peer's, at least, with 1, 4, 16 and 64 clients."""

    @property
    def title(self) -> str:
        how = f"sampled at {self.temperature}" if self.temperature else "greedy"
        return f"{self.model} {self.dtype}, {self.num_words:,} words, {self.max_tokens} tokens, {how}"

    @property
    def positions(self) -> int:
        return self.num_words + _TEMPLATE_TOKENS + self.max_tokens

    @property
    def clients(self) -> list[int]:
        return [number for number in CLIENTS if number <= self.max_clients]

    def load(self, num_clients: int) -> Load:
        num_requests = 1 if self.num_words > 100 else _REQUESTS.get(num_clients, 1)
        return Load(
            num_clients=num_clients, num_requests=num_requests, num_words=self.num_words,
            max_tokens=self.max_tokens, temperature=self.temperature,
        )  # fmt: skip


SMALL = Case(
    model="4M", dtype="float32", max_tokens=48,
    peers={FASTCHAT: 64, SERVE: 16, BATCHING: 64, LLAMA: 64},
    wanted={FASTCHAT: (2, 4.5, 12, 18), SERVE: (1.3, 3.3, 7), BATCHING: (1.3, 1.5, 1.4, 2)},
)  # fmt: skip
LARGE = Case(
    model="100M", dtype="bfloat16", max_tokens=32,
    peers={FASTCHAT: 16, BATCHING: 64, LLAMA: 64},
    wanted={FASTCHAT: (1.4, 2.7, 6), BATCHING: (1.1, 1.2, 1.2, 2)},
)  # fmt: skip
_BATCHING_PEERS = {BATCHING: 64, LLAMA: 64}

TARGETS = (
    SMALL,
    LARGE,
    replace(SMALL, temperature=1.0, num_rounds=2, peers={FASTCHAT: 4, **_BATCHING_PEERS}, wanted={}),
    replace(SMALL, num_words=1000, num_rounds=2, peers={FASTCHAT: 4, **_BATCHING_PEERS}, wanted={}),
    replace(LARGE, num_words=1000, num_rounds=1, max_clients=16, peers={BATCHING: 16, LLAMA: 16}, wanted={}),
)
"""What says whether the ratios that are wanted are there, and a look at the rest."""

FULL = tuple(
    replace(case, num_words=num_words, temperature=temperature, wanted=case.wanted if num_words == 24 else {})
    for case in (SMALL, LARGE)
    for num_words in (24, 1000)
    for temperature in (0.0, 1.0)
)
SMOKE = tuple(replace(case, max_tokens=8, max_clients=4, num_rounds=1) for case in (SMALL, LARGE))
PRESETS = {"targets": TARGETS, "full": FULL, "smoke": SMOKE}

WANTED_OF_ROOFLINE = {"float32": (0.34, 0.33, 0.27, 0.52)}
WANTED_OF_LLAMA = (0.6, 0.8, 0.8, 0.9)
"""Our decode step's speed over that of llama.cpp's, in process, with the same number format."""
