"""A tiny model of Whisper's kind that says the same in every window, whatever it hears; and recordings to hear."""

import io
from pathlib import Path

import numpy
import soundfile
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.workers.engines.tiny_models import make_tokenizer

SAID = ["<|0.00|>", " Hello", " today", "<|2.00|>", "<|2.00|>", " Paris", "<|4.00|>"]
_LANGUAGES = ("<|en|>", "<|de|>")
_TASKS = ("<|translate|>", "<|transcribe|>")
_OTHERS = ("<|startoftranscript|>", *_LANGUAGES, *_TASKS, "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
_TIMES = [f"<|{step * 0.02:.2f}|>" for step in range(1501)]
_MOST_TOKENS = 64


def save_whisper(folder: Path, said: list[str] | None = None, *, is_multilingual: bool = True) -> Path:
    """With random weights, unless it is told what to say. One that is not multilingual has no word for languages."""
    torch.manual_seed(7)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([*_OTHERS, *_TIMES], special_tokens=True)
    token = tokenizer.convert_tokens_to_ids
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer), d_model=64, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_target_positions=_MOST_TOKENS,
            num_mel_bins=80, decoder_start_token_id=token("<|startoftranscript|>"), pad_token_id=0, bos_token_id=0,
            eos_token_id=tokenizer.eos_token_id, suppress_tokens=[], begin_suppress_tokens=[],
        )
    )  # fmt: skip
    if said is not None:
        begin = [token("<|en|>"), token("<|transcribe|>")] if is_multilingual else []
        _teach(model, [*begin, *_ids(tokenizer, said), tokenizer.eos_token_id])
    languages = {
        "lang_to_id": {name: token(name) for name in _LANGUAGES},
        "task_to_id": {"translate": token("<|translate|>"), "transcribe": token("<|transcribe|>")},
    }
    model.generation_config = GenerationConfig(
        decoder_start_token_id=token("<|startoftranscript|>"), pad_token_id=0, eos_token_id=tokenizer.eos_token_id,
        no_timestamps_token_id=token("<|notimestamps|>"), max_length=_MOST_TOKENS, is_multilingual=is_multilingual,
        prev_sot_token_id=token("<|startofprev|>"), **(languages if is_multilingual else {}),
    )  # fmt: skip
    for part in (model, tokenizer, WhisperFeatureExtractor()):
        part.save_pretrained(folder)
    return folder


def recording(seconds: float, *, kind: str = "WAV", sample_rate: int = 16_000, channels: int = 1) -> bytes:
    """A tone that rises."""
    times = numpy.arange(int(seconds * sample_rate)) / sample_rate
    tone = 0.3 * numpy.sin(2 * numpy.pi * (200 + 20 * times) * times)
    file = io.BytesIO()
    soundfile.write(file, numpy.stack([tone] * channels, axis=1), sample_rate, format=kind)
    return file.getvalue()


def _ids(tokenizer, said: list[str]) -> list[int]:
    return [token for piece in said for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]


def _teach(model: WhisperForConditionalGeneration, chain: list[int]) -> None:
    """Each place says its token of the chain, whatever came before."""
    decoder = model.model.decoder
    with torch.no_grad():
        for layer in decoder.layers:
            for last in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                last.weight.zero_()
                last.bias.zero_()
        decoder.embed_tokens.weight.normal_()
        decoder.embed_positions.weight.zero_()
        decoder.embed_positions.weight[: len(chain)] = 5 * decoder.embed_tokens.weight[chain]
