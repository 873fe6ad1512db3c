"""What was said as plain text or as subtitles, made of the JSON in which it was told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec


class Segment(msgspec.Struct):
    """Times in seconds."""

    start: float
    end: float
    text: str


class Told(msgspec.Struct):
    """An answer of which only this counts. Not every provider tells segments."""

    text: str
    duration: float = 0.0
    segments: list[Segment] | None = None

    @property
    def cues(self) -> list[Segment]:
        return self.segments or ([Segment(0.0, self.duration, self.text)] if self.text else [])


@dataclass(frozen=True, slots=True)
class PlainFormat:
    """A form of answer that is no JSON. `source`: the JSON that it is made of."""

    source: Literal["json", "verbose_json"]
    write: Callable[[Told], str]


def _text(told: Told) -> str:
    return f"{told.text}\n"


def _srt(told: Told) -> str:
    """SubRip: numbered, with commas in the times."""
    numbered = enumerate(told.cues, start=1)
    return "".join(f"{number}\n{_times(cue).replace('.', ',')}\n{_line(cue)}\n\n" for number, cue in numbered)


def _vtt(told: Told) -> str:
    """WebVTT."""
    return "WEBVTT\n\n" + "".join(f"{_times(cue)}\n{_line(cue)}\n\n" for cue in told.cues)


def _times(cue: Segment) -> str:
    return f"{_clock(cue.start)} --> {_clock(cue.end)}"


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _line(cue: Segment) -> str:
    """An empty line, or an arrow, would end the cue or begin another one."""
    return " ".join(cue.text.split()).replace("-->", "->")


PLAIN: Mapping[str, PlainFormat] = {
    "text": PlainFormat("json", _text),
    "srt": PlainFormat("verbose_json", _srt),
    "vtt": PlainFormat("verbose_json", _vtt),
}
"""By the response format."""
