"""llama.cpp's decode step in process: how long one takes with so many sequences in its batch.

    python llama_decode.py FILE.gguf STEPS ROWS [ROWS ...]        prints {rows: seconds} as JSON

With numpy and the library that the wheel xllamacpp carries, whose own face has a server and no more.
"""

import ctypes
import json
import os
import statistics
import sys
import time

import numpy
import xllamacpp

_NUM_PROMPT_TOKENS = 40
_POSITIONS = 256
"""For each sequence."""


class Parameters(ctypes.Structure):
    """Of a model or a context: larger than either is, since only its beginning is known here to stay what it is.

    Structures of this size are passed in memory, where the callee reads the part that is its own.
    """

    _fields_ = (
        ("n_ctx", ctypes.c_uint32),
        ("n_batch", ctypes.c_uint32),
        ("n_ubatch", ctypes.c_uint32),
        ("n_seq_max", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 252),
    )


class Batch(ctypes.Structure):
    """llama_batch: tokens of any sequences, and after which of them logits are wanted."""

    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    results = {
        "llama_model_default_params": Parameters,
        "llama_context_default_params": Parameters,
        "llama_model_load_from_file": ctypes.c_void_p,
        "llama_init_from_model": ctypes.c_void_p,
        "llama_model_get_vocab": ctypes.c_void_p,
        "llama_batch_init": Batch,
        "llama_get_logits_ith": ctypes.POINTER(ctypes.c_float),
    }
    for name, kind in results.items():
        getattr(library, name).restype = kind
    return library


class Sequences:
    """Some sequences in one context, each with a prompt; `step` gives each its likeliest next token."""

    def __init__(self, library: ctypes.CDLL, model: ctypes.c_void_p, num_rows: int) -> None:
        self._library, self._num_rows = library, num_rows
        parameters = library.llama_context_default_params()
        if (parameters.n_ctx, parameters.n_batch, parameters.n_seq_max) != (512, 2048, 1):
            raise SystemExit("This llama.cpp lays its parameters out otherwise than the release that this knows.")
        parameters.n_ctx, parameters.n_seq_max = num_rows * _POSITIONS, num_rows
        self._context = ctypes.c_void_p(library.llama_init_from_model(model, parameters))
        library.llama_set_n_threads(self._context, os.cpu_count(), os.cpu_count())
        self._vocab_size = library.llama_vocab_n_tokens(ctypes.c_void_p(library.llama_model_get_vocab(model)))
        self._batch = library.llama_batch_init(num_rows, 0, 1)
        self._position = 0
        self._tokens = numpy.arange(num_rows) + 300
        for _ in range(_NUM_PROMPT_TOKENS):
            self.step()

    def step(self) -> None:
        batch = self._batch
        batch.n_tokens = self._num_rows
        for row, token in enumerate(self._tokens.tolist()):
            batch.token[row], batch.pos[row] = token, self._position
            batch.n_seq_id[row], batch.seq_id[row][0], batch.logits[row] = 1, row, 1
        if self._library.llama_decode(self._context, batch):
            raise SystemExit("llama_decode failed; its reason is above.")
        self._position += 1
        self._tokens = numpy.array([self._likeliest(row) for row in range(self._num_rows)])

    def _likeliest(self, row: int) -> int:
        logits = self._library.llama_get_logits_ith(self._context, row)
        return int(numpy.ctypeslib.as_array(logits, (self._vocab_size,)).argmax())

    def close(self) -> None:
        self._library.llama_batch_free(self._batch)
        self._library.llama_free(self._context)


def _step_s(sequences: Sequences, num_steps: int) -> float:
    durations = []
    for _ in range(num_steps):
        began = time.perf_counter()
        sequences.step()
        durations.append(time.perf_counter() - began)
    sequences.close()
    return statistics.median(durations)


def main(path: str, num_steps: int, rows: list[int]) -> None:
    library = _library()
    library.llama_backend_init()
    library.ggml_backend_load_all()
    model = ctypes.c_void_p(library.llama_model_load_from_file(path.encode(), library.llama_model_default_params()))
    if not model:
        raise SystemExit(f"llama.cpp cannot load {path}; its reason is above.")
    print(json.dumps({number: _step_s(Sequences(library, model, number), num_steps) for number in rows}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [int(number) for number in sys.argv[3:]])
