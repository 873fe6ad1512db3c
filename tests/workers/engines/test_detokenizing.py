"""From tokens to text: whole characters, exact spaces, nothing lost."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from tests.workers.engines.tiny_models import make_tokenizer
from workers.engines.transformers.detokenizer import Detokenizer

TEXTS = [
    "Hello, how are you?",
    "  two  spaces \n\n and lines\t",
    "你好，世界！龘靐齉",
    "😀🎉🦜👩‍👩‍👧🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "mixed 世🦜界 naïve ćafé",
    "a genuine � stays",
]


def make_sentencepiece_like() -> PreTrainedTokenizerFast:
    """Like Llama 2's: a mark for spaces, the first of which is dropped, and bytes for what is not in the vocabulary."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"Heloabcdfgmnprstuvwxyz,?.!"]
    tokenizer = Tokenizer(
        models.BPE({piece: number for number, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


TOKENIZERS = {"byte level": make_tokenizer(), "sentencepiece": make_sentencepiece_like()}


def deltas(tokenizer: PreTrainedTokenizerFast, ids: list[int], context: list[int] | None = None) -> list[str]:
    detokenizer = Detokenizer(tokenizer, context or [])
    return [*map(detokenizer.push, ids), detokenizer.flush()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_deltas_are_the_text(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]

    assert "".join(deltas(tokenizer, ids)) == tokenizer.decode(ids) == text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_no_delta_ends_inside_a_character(kind: str) -> None:
    text = "世🦜界龘 é👩‍👩‍👧"
    ids = TOKENIZERS[kind](text, add_special_tokens=False)["input_ids"]

    assert not any("�" in delta for delta in deltas(TOKENIZERS[kind], ids))


def test_a_continued_prompt_keeps_the_space_between() -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    prompt, whole = tokenizer("He")["input_ids"], tokenizer("He llo")["input_ids"]

    assert "".join(deltas(tokenizer, whole[len(prompt) :], context=prompt)) == " llo"


def test_half_a_character_at_the_end_is_not_lost() -> None:
    tokenizer = TOKENIZERS["byte level"]
    ids = tokenizer("ok 🦜")["input_ids"]

    assert "".join(deltas(tokenizer, ids[:-1])) == tokenizer.decode(ids[:-1])


def test_endless_broken_bytes_do_not_pile_up() -> None:
    tokenizer = TOKENIZERS["byte level"]
    broken = tokenizer("🦜")["input_ids"][0]

    shown = deltas(tokenizer, [broken] * 40)

    assert len("".join(shown[:-1])) > 20
