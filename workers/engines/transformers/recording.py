"""A recording in whatever format → 16,000 numbers a second, piece by piece, so that a long one takes no more memory."""

import io
from collections.abc import Iterator

import numpy
import soundfile
import soxr

from workers.errors import BadRequest

SAMPLE_RATE = 16_000
FORMATS = "wav, flac, ogg (Vorbis or Opus) or mp3"
_READ = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})
"""By libsndfile's names; it knows others, which nobody records speech in."""
_BLOCK_S = 10
_MAX_BLOCK_NUMBERS = 4_000_000
_MAX_CHANNELS = 8
_MIN_SAMPLE_RATE, _MAX_SAMPLE_RATE = 4_000, 192_000
_UNKNOWN_S = 2**62 / _MAX_SAMPLE_RATE

Samples = numpy.ndarray
"""float32 from -1 to 1, one channel (samples,)."""


class Recording:
    """Read from its beginning to its end, once. Not safe for threads."""

    def __init__(self, data: bytes, *, max_seconds: float) -> None:
        """Raises BadRequest for what is no recording, or a longer one."""
        self._max_seconds = max_seconds
        try:
            self._file = soundfile.SoundFile(io.BytesIO(data))
        except soundfile.SoundFileError as error:
            raise BadRequest(f"'file' cannot be read. Send {FORMATS}.", param="file") from error
        if self._file.format not in _READ:
            raise BadRequest(f"'file' is in an unusual format. Send {FORMATS}.", param="file")
        is_usual_rate = _MIN_SAMPLE_RATE <= self._file.samplerate <= _MAX_SAMPLE_RATE
        if self._file.channels > _MAX_CHANNELS or not is_usual_rate:
            raise BadRequest(
                f"'file' has {self._file.channels} channels of {self._file.samplerate:,} Hz. Send at most "
                f"{_MAX_CHANNELS}, of {_MIN_SAMPLE_RATE:,} to {_MAX_SAMPLE_RATE:,} Hz; one of 16,000 Hz is enough.",
                param="file",
            )
        self._check_length(self._file.frames / self._file.samplerate)
        self._resampler = soxr.ResampleStream(self._file.samplerate, SAMPLE_RATE, 1)
        self._blocks = self._read()
        self._kept = numpy.zeros(0, numpy.float32)
        self._kept_from = 0
        self._is_whole = False

    def window(self, start: int, length: int) -> Samples:
        """So many samples from `start` on, fewer at the end. `start` never goes back. Raises BadRequest."""
        self._drop_before(start)
        while len(self._kept) < length and not self._is_whole:
            self._take(next(self._blocks, None))
            self._drop_before(start)
        return self._kept[:length]

    @property
    def num_samples(self) -> int:
        """That are known of so far; once a window was not full, all."""
        return self._kept_from + len(self._kept)

    def _take(self, block: Samples | None) -> None:
        if block is None:
            self._is_whole = True
            return
        self._kept = numpy.concatenate([self._kept, block])
        # Headers may lie, and some tell no length at all.
        self._check_length(self.num_samples / SAMPLE_RATE)

    def _drop_before(self, start: int) -> None:
        num = min(max(0, start - self._kept_from), len(self._kept))
        self._kept, self._kept_from = self._kept[num:], self._kept_from + num

    def _read(self) -> Iterator[Samples]:
        num_frames = min(_BLOCK_S * self._file.samplerate, _MAX_BLOCK_NUMBERS // self._file.channels)
        while True:
            try:
                block = self._file.read(num_frames, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise BadRequest(f"'file' is broken. Send {FORMATS}.", param="file") from error
            is_last = len(block) == 0
            # Files of floats may hold anything, and one that is no number would make the model's all so.
            samples = numpy.nan_to_num(block.mean(1)).clip(-1, 1)
            yield self._resampler.resample_chunk(samples, last=is_last)
            if is_last:
                return

    def _check_length(self, seconds: float) -> None:
        # An unknown length is told as an absurd one.
        if self._max_seconds < seconds < _UNKNOWN_S:
            raise BadRequest(
                f"'file' is {seconds:,.0f} s long; this model takes {self._max_seconds:,.0f} s. Send it in parts.",
                param="file",
            )
