"""The demo model's tokenizer: byte-level BPE over its own corpus, and the chat template.

Digits and Chinese characters stand alone, and a capitalised word is never joined with the space before it: so a name
has the same tokens wherever it stands, and copying it is only a matter of looking back.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Not special: clients must see a tool call's tags in the text, whatever they skip.
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>"]
PIECES = "|".join(
    (
        r" ?\p{Ll}+",
        r"\p{Lu}+\p{Ll}*",
        # A quote before any other word is no contraction: in 'ship' it must not swallow the s.
        r"'(?:s|m|d|t|re|ve|ll)(?!\p{L})",
        r"\p{N}",
        r"[\p{Lo}\p{Lm}\p{Lt}]",
        r"\p{M}+",
        r"\s+",
        r" ?[^\s\p{L}\p{N}\p{M}]+",
    )
)
TEMPLATE = Path(__file__).parent / "chat_template.jinja"
MAX_TOKENS = 2_048


def train_tokenizer(texts: Iterable[str], *, num_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer of this many entries; every byte is one, so any text at all survives a round trip."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens - len(TAGS),
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    backend.train_from_iterator(_without_tags(texts), trainer)
    backend.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=TEMPLATE.read_text(encoding="utf-8"),
        model_max_length=MAX_TOKENS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _without_tags(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for tag in (START, END, *TAGS):
            text = text.replace(tag, "\n")
        yield text
