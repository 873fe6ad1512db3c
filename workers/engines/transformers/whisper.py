"""One window of speech → text, by a model of Whisper's kind. Runs in the model's thread."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from workers.errors import BadRequest, LoadError

_NO_SPEECH_TOKENS = ("<|nospeech|>", "<|nocaptions|>")
_SILENCE_PROBABILITY, _SILENCE_LOGPROB = 0.6, -1.0
"""Beyond both, what was written is made up: there was silence (Radford et al. 2022, section 4.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a window is to be heard."""

    language: str = ""
    """Its code, such as `en`; empty: the likeliest."""
    prompt: tuple[int, ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`tokens` with times among them, without the end."""

    tokens: list[int]
    language: str
    avg_logprob: float
    no_speech_prob: float


class Whisper:
    """`is_wanted` is asked before each token, and tells whether anybody still waits for the rest."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Raises LoadError for a model without what its generation_config.json must say."""
        config = model.generation_config
        if getattr(config, "no_timestamps_token_id", None) is None:
            raise LoadError("This model's generation_config.json names no token for times. Take a newer copy of it.")
        self._model, self._tokenizer = model, tokenizer
        self.first_time: int = config.no_timestamps_token_id + 1
        languages = getattr(config, "lang_to_id", None) or {}
        self._languages = {name.strip("<|>"): token for name, token in languages.items()}
        unknown = tokenizer.unk_token_id
        ids = tokenizer.convert_tokens_to_ids(list(_NO_SPEECH_TOKENS))
        self._no_speech = next((token for token in ids if token is not None and token != unknown), None)
        self._most_prompt = model.config.max_target_positions // 2 - 2

    @property
    def context_length(self) -> int:
        """Tokens of a window's text, its prompt included."""
        return int(self._model.config.max_target_positions)

    def language(self, asked: str | None) -> str:
        """The code of that language. Raises BadRequest."""
        code = (asked or "").partition("-")[0].lower()
        known = self._languages or {"en": 0}
        if code and code not in known:
            raise BadRequest(
                f"This model does not know the language '{code}': {', '.join(sorted(known))}.", param="language"
            )
        return code if self._languages else ""

    def prompt(self, text: str | None) -> tuple[int, ...]:
        """As ids, of which the last count; control tokens in it are plain text."""
        if not (text or "").strip():
            return ()
        start = self._tokenizer.convert_tokens_to_ids("<|startofprev|>")
        # No token is longer, and a long text takes long.
        shown = f" {(text or '').strip()}"[-self._most_prompt * 64 :]
        ids = self._tokenizer(shown, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return (start, *ids[-self._most_prompt :])

    def hear(self, features: torch.Tensor, wish: Wish, is_wanted: Callable[[], bool]) -> Heard:
        """`features`: (1, mel bands, frames) of one window."""
        features = features.to(self._model.device, self._model.dtype)
        encoded = self._model.get_encoder()(features)
        first = self._first_logits(encoded)
        language = wish.language or self._likeliest(first)
        found = self._model.generate(
            features,
            encoder_outputs=encoded,
            stopping_criteria=StoppingCriteriaList([_Unwanted(is_wanted)]),
            **self._options(language, wish),
        )
        tokens = found.sequences[0, -len(found.scores) :]
        logprob = _mean_logprob(found.scores, tokens)
        no_speech = 0.0 if self._no_speech is None else float(first.softmax(-1)[self._no_speech])
        is_silence = no_speech > _SILENCE_PROBABILITY and logprob < _SILENCE_LOGPROB
        return Heard(
            tokens=[] if is_silence else [token for token in tokens.tolist() if token != self._tokenizer.eos_token_id],
            language=language,
            avg_logprob=logprob,
            no_speech_prob=no_speech,
        )

    def _options(self, language: str, wish: Wish) -> dict[str, Any]:
        prompt = {"prompt_ids": torch.tensor(wish.prompt, device=self._model.device)} if wish.prompt else {}
        named = {"language": language, "task": "transcribe"} if self._languages else {}
        return {
            "return_timestamps": True,
            "return_dict_in_generate": True,
            "output_scores": True,
            "force_unique_generate_call": True,
            "temperature": wish.temperature,
            "num_beams": 1,
            **prompt,
            **named,
        }

    def _first_logits(self, encoded: Any) -> torch.Tensor:
        """After the start alone (vocabulary,): it tells the language, and whether anything is said."""
        start = torch.tensor([[self._model.config.decoder_start_token_id]], device=self._model.device)
        return self._model(encoder_outputs=encoded, decoder_input_ids=start, use_cache=False).logits[0, -1].float()

    def _likeliest(self, first: torch.Tensor) -> str:
        return max(self._languages, key=lambda code: float(first[self._languages[code]]), default="")


class _Unwanted(StoppingCriteria):
    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), not self._is_wanted(), device=input_ids.device)


def _mean_logprob(scores: tuple[torch.Tensor, ...], tokens: torch.Tensor) -> float:
    each = [float(row[0].float().log_softmax(-1)[token]) for row, token in zip(scores, tokens, strict=True)]
    finite = [value for value in each if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else 0.0
