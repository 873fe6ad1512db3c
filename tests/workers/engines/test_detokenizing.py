"""From tokens to text: whole characters, exact spaces, nothing lost."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

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
BYTE_OF = {letter: byte for byte, letter in bytes_to_unicode().items()}
"""How a byte-level vocabulary writes bytes."""


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


def spellings(kind: str) -> dict[bytes, list[int]]:
    """Bytes → the tokens that stand for them alone."""
    found: dict[bytes, list[int]] = {}
    for piece, token in TOKENIZERS[kind].get_vocab().items():
        if token not in TOKENIZERS[kind].all_special_ids and (spelled := spelling(kind, piece)):
            found.setdefault(spelled, []).append(token)
    return found


def spelling(kind: str, piece: str) -> bytes:
    if kind == "byte level":
        return bytes(BYTE_OF[letter] for letter in piece)
    return bytes.fromhex(piece[3:5]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()


SPELLINGS = {kind: spellings(kind) for kind in TOKENIZERS}


def cut_into_tokens(kind: str, text: str, chance: random.Random) -> list[int]:
    """One of the ways in which a model may say this."""
    rest, known, ids = text.encode(), SPELLINGS[kind], []
    while rest:
        spelled = chance.choice([start for start in known if rest.startswith(start)])
        ids.append(chance.choice(known[spelled]))
        rest = rest.removeprefix(spelled)
    return ids


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_any_text_however_it_is_cut_into_tokens_comes_whole_and_without_half_a_character(kind: str) -> None:
    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="�"), max_size=20), st.randoms())
    def check(text: str, chance: random.Random) -> None:
        ids = cut_into_tokens(kind, text, chance)
        shown = deltas(TOKENIZERS[kind], ids)

        assert "".join(shown) == TOKENIZERS[kind].decode(ids)
        assert "�" not in "".join(shown)

    check()


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
