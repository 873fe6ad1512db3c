"""How fast engines answer: any servers that speak OpenAI's API, in turns, with the same prompts.

    python bench/engine.py --model MODEL http://127.0.0.1:8101/v1 http://127.0.0.1:8102/v1 [--key KEY]
        [--clients 1 4 16 64] [--words 24] [--tokens 48] [--temperature 0] [--rounds 3] [--ignore-eos]

For each server and number of clients: tokens a second, time to the first token and between tokens (median and 99th
percentile, ms) and errors, each the median of the rounds; and tokens a second as a ratio over the last server. Rounds
take turns between the servers, so that what else the machine does hits all of them. Ratios travel, figures do not.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

WORDS = [
    "time",
    "person",
    "year",
    "way",
    "day",
    "thing",
    "man",
    "world",
    "life",
    "hand",
    "part",
    "child",
    "eye",
    "place",
]


@dataclass
class Round:
    """What one number of clients saw of one server."""

    num_tokens: int = 0
    num_errors: int = 0
    duration_s: float = 0.0
    first_token_s: list[float] = field(default_factory=list)
    between_tokens_s: list[float] = field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.duration_s


async def run_round(options: argparse.Namespace, url: str, num_clients: int, number: int) -> Round:
    """All clients ask at once."""
    seen = Round()
    prompts = [_prompt(options.words, seed=number * 1000 + client) for client in range(num_clients)]
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {options.key}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        began = time.perf_counter()
        await asyncio.gather(*(_ask(session, options, url, prompt, seen) for prompt in prompts))
        seen.duration_s = time.perf_counter() - began
    return seen


async def _ask(session: aiohttp.ClientSession, options: argparse.Namespace, url: str, prompt: str, seen: Round) -> None:
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": options.tokens,
        "temperature": options.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **({"ignore_eos": True} if options.ignore_eos else {}),
    }
    came_at = time.perf_counter()
    is_first = True
    async with session.post(f"{url}/chat/completions", json=body) as answer:
        if answer.status != 200:
            seen.num_errors += 1
            return
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if usage := chunk.get("usage"):
                seen.num_tokens += usage["completion_tokens"]
            if any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
                now = time.perf_counter()
                (seen.first_token_s if is_first else seen.between_tokens_s).append(now - came_at)
                came_at, is_first = now, False


def _prompt(num_words: int, *, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def _percentile(values: Sequence[float], percent: int) -> float:
    """In ms."""
    return 1000 * statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 1000 * sum(values)


def _median(rounds: Sequence[Round], of: str, percent: int) -> float:
    return statistics.median(_percentile(getattr(seen, of), percent) for seen in rounds)


def report(results: dict[tuple[str, int], list[Round]], urls: Sequence[str], clients: Sequence[int]) -> None:
    """A line for each server and number of clients, in Markdown."""
    print("| server | clients | tokens/s | over the last | first token p50 / p99 | between p50 / p99 | errors |")
    print("|---" * 7 + "|")
    for num_clients in clients:
        speeds = {url: statistics.median(seen.tokens_per_s for seen in results[url, num_clients]) for url in urls}
        for url in urls:
            rounds = results[url, num_clients]
            first = [_median(rounds, "first_token_s", percent) for percent in (50, 99)]
            between = [_median(rounds, "between_tokens_s", percent) for percent in (50, 99)]
            print(
                f"| {url} | {num_clients} | {speeds[url]:.0f} | {speeds[url] / (speeds[urls[-1]] or 1):.2f} "
                f"| {first[0]:.0f} / {first[1]:.0f} | {between[0]:.1f} / {between[1]:.1f} "
                f"| {sum(seen.num_errors for seen in rounds)} |"
            )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ignore-eos", action="store_true", help="for models that end anywhere, with random weights")
    options = parser.parse_args()
    results: dict[tuple[str, int], list[Round]] = {}
    for num_clients in options.clients:
        for number in range(options.rounds):
            for url in options.urls:
                seen = await run_round(options, url, num_clients, number)
                results.setdefault((url, num_clients), []).append(seen)
    report(results, options.urls, options.clients)


if __name__ == "__main__":
    asyncio.run(main())
