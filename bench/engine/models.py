"""Models of random weights, made on the spot: Llamas of 4 and of 100 million parameters, with BPEs of their own.

How fast a model answers depends on its shape alone. What it says is noise, but readable noise: tokens that end an
answer, or are no text, have embeddings of zero, so that a greedy answer never holds them and a sampled one hardly ever.
"""

import json
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GGUF_WRITER = Path(__file__).parents[2] / "tests" / "journeys" / "gguf_file.py"

CONTEXT_LENGTH = 2048
WORDS = ["time", "person", "year", "way", "day", "thing", "man", "world", "life", "hand", "part", "eye", "place"]
"""Of which prompts are made; each is one token after a space."""
CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_TOKEN = 2
_SYLLABLES = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")]
_INITIALIZER_RANGE = 0.05
"""With transformers' own 0.02 the layers add next to nothing, and the model repeats the token that it was fed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides how fast a model is. The output layer is the embedding."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int

    @property
    def num_parameters(self) -> int:
        """Of its matrices."""
        head_size = self.hidden_size // self.num_attention_heads
        attention = 2 * self.hidden_size * head_size * (self.num_attention_heads + self.num_key_value_heads)
        layer = attention + 3 * self.hidden_size * self.intermediate_size
        return self.vocab_size * self.hidden_size + self.num_hidden_layers * layer


SHAPES = {
    "4M": Shape(
        vocab_size=4096, hidden_size=256, intermediate_size=704,
        num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
    ),
    "100M": Shape(
        vocab_size=32000, hidden_size=768, intermediate_size=2048,
        num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=4,
    ),
}  # fmt: skip


def model_folder(root: Path, name: str) -> Path:
    """The model of that name in float32 as transformers reads it, made if it is not there yet."""
    return _made(root / name, lambda unfinished: _make(SHAPES[name], unfinished))


def gguf_file(root: Path, name: str, dtype: str, python: Path) -> Path:
    """The same model as llama.cpp reads it. `python`: one that has gguf."""
    command = [str(python), str(GGUF_WRITER), str(model_folder(root, name))]
    return _made(
        root / f"{name}-{dtype}.gguf",
        lambda unfinished: subprocess.run([*command, str(unfinished), dtype], check=True),
    )


def _made(target: Path, make: Callable[[Path], object]) -> Path:
    """Under its name only once it is whole, lest a run that is broken off leaves half of it to the next."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"unfinished-{target.name}")
        make(unfinished)
        unfinished.rename(target)
    return target


def _make(shape: Shape, folder: Path) -> None:
    # Here and not above: whoever only drives servers needs no torch.
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _make_tokenizer(shape.vocab_size)
    torch.manual_seed(0)
    sizes = {name: getattr(shape, name) for name in shape.__slots__}
    config = LlamaConfig(
        **sizes, max_position_embeddings=CONTEXT_LENGTH, tie_word_embeddings=True, initializer_range=_INITIALIZER_RANGE,
        bos_token_id=None, eos_token_id=END_TOKEN, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[_unreadable(tokenizer)] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _add_old_names(folder)


def _make_tokenizer(vocab_size: int):
    """A byte-level BPE that knows the words of the prompts and a language that there is not."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(vocab_size), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL_TOKENS[END_TOKEN],
        pad_token=SPECIAL_TOKENS[0],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def _corpus(vocab_size: int) -> list[str]:
    source = random.Random(0)
    invented = ["".join(source.choices(_SYLLABLES, k=source.randint(1, 4))) for _ in range(2 * vocab_size)]
    return [" ".join(["user assistant", *WORDS])] * vocab_size + [" ".join(["", *invented])]


def _unreadable(tokenizer) -> list[int]:
    """Also half characters: a server has no text to send for them yet."""
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    return [token for token, text in enumerate(texts) if text in SPECIAL_TOKENS or not _is_readable(text)]


def _is_readable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _add_old_names(folder: Path) -> None:
    """What transformers 4 wants to read, with which FastChat runs."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config |= {"rope_theta": config["rope_parameters"]["rope_theta"], "torch_dtype": config["dtype"]}
    path.write_text(json.dumps(config, indent=2))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
