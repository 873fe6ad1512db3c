"""A steady load of real requests on the gateway, from callers who notice everything."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import openai

from tests.journeys.waiting import wait_until

TEN_WORDS = [{"role": "user", "content": "one two three four five six seven eight nine ten"}]


class Load(threading.Thread):
    """One caller who never pauses: a plain request, a streamed one, and again. No retries."""

    def __init__(self, base_url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
        self.num_answered = 0
        self.failures: list[str] = []
        self._is_over = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self._is_over.is_set():
                return
            try:
                text = self._stream() if number % 2 else self._ask()
            except openai.APIError as error:
                self.failures.append(repr(error))
                continue
            if "ten" in text:
                self.num_answered += 1
            else:
                self.failures.append(f"cut short: {text!r}")

    def is_answered_again(self) -> bool:
        """Waits for it."""
        before = self.num_answered
        return wait_until(lambda: self.num_answered > before, what="all goes on as before")

    def end(self) -> None:
        self._is_over.set()
        self.join()
        self.client.close()

    def _ask(self) -> str:
        answer = self.client.chat.completions.create(model="echo", messages=TEN_WORDS)
        return answer.choices[0].message.content or ""

    def _stream(self) -> str:
        chunks = self.client.chat.completions.create(model="echo", messages=TEN_WORDS, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@contextmanager
def steady_load(web, key: str, num_callers: int = 4) -> Iterator[list[Load]]:
    """Callers who have all been answered once before anything else happens."""
    callers = [Load(f"{web.url}/v1", key) for _ in range(num_callers)]
    for caller in callers:
        caller.start()
    try:
        wait_until(lambda: all(caller.num_answered for caller in callers), what="everybody is answered", log=web.log)
        for caller in callers:
            caller.failures.clear()
        yield callers
    finally:
        for caller in callers:
            caller.end()


def failures(callers: list[Load]) -> list[str]:
    return [failure for caller in callers for failure in caller.failures]
