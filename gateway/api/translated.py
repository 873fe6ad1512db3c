"""Requests in the words of another API: each becomes a request in OpenAI's, and its answer is translated back.

body ── in_openais_words ──▶ chat completion ── the one road ──▶ its answer ── Words ──▶ answer, or events
"""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import msgspec

from gateway.api.parser import decode_request
from gateway.api.views import AnyGeneration, InferenceView
from gateway.errors import InvalidImage


class Words(Protocol):
    """How one answer is said. Used for one request, then thrown away."""

    def answer(self, body: bytes) -> bytes:
        """A whole answer, translated."""

    def events(self, block: bytes) -> bytes:
        """Whole events of a stream, in their order, translated; may be empty."""


class TranslatedGeneration:
    """A generation in other words; to be used as one."""

    def __init__(self, generation: AnyGeneration, words: Words) -> None:
        self._generation = generation
        self._words = words
        self.status, self.is_stream = generation.status, generation.is_stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def __aenter__(self) -> Self:
        await self._generation.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._generation.__aexit__(kind, error, trace)

    async def _parts(self) -> AsyncIterator[bytes]:
        translated = self._words.events if self.is_stream else self._words.answer
        async for part in self._generation:
            if said := translated(part):
                yield said


class TranslatedView(InferenceView):
    """A door to what another view does, in other words."""

    standard: ClassVar[type[InferenceView]]
    """OpenAI's endpoint that does the same."""

    def in_openais_words(self, asked: Any) -> dict[str, Any]:
        """The body for that. Raises InvalidRequest."""
        raise NotImplementedError

    def words(self, asked: Any) -> Words:
        """For the answer."""
        raise NotImplementedError

    async def checked(self, asked: Any, body: bytes) -> tuple[Any, bytes]:
        """By the rules that hold for everybody."""
        translated = msgspec.json.encode(self.in_openais_words(asked))
        request = decode_request(translated, self.standard.request_type)
        self.standard().check(request)
        try:
            return request, await self._with_images(request, translated)
        except InvalidImage as refused:
            raise InvalidImage(_place_of(refused.url, asked) or str(refused.param), "", refused.reason) from None

    def said(self, generation: AnyGeneration, asked: Any) -> AnyGeneration:
        return TranslatedGeneration(generation, self.words(asked))


def _place_of(url: str, asked: Any) -> str | None:
    """The parameter in which the caller wrote this URL, or the bytes that it ends with; None for earlier turns."""
    found = ((len(text), where) for where, text in _strings(msgspec.to_builtins(asked), "") if url.endswith(text))
    return max(found, default=(0, None))[1]


def _strings(given: Any, where: str) -> Iterator[tuple[str, str]]:
    """Each that is not empty, with its parameter."""
    match given:
        case str() if given:
            yield where, given
        case list():
            for position, item in enumerate(given):
                yield from _strings(item, f"{where}[{position}]")
        case dict():
            for name, item in given.items():
                yield from _strings(item, f"{where}.{name}".removeprefix("."))
