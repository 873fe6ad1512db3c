"""Small models with random weights, as the hub would hold them. Made once a test session, in well under a second."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CONTEXT_LENGTH = 2048
VOCABULARY_SIZE = 400
BROKEN_TOKEN = VOCABULARY_SIZE - 1
"""Of the family "broken": a row that is fed this token has no numbers for logits."""
CORPUS = [
    "Hello, how are you today? I am fine, thank you.",
    "The capital of France is Paris. The capital of Peru is Lima.",
    "你好，世界！今天天气很好。",
    "Emoji: 😀 🎉 👩‍👩‍👧 and accents: café naïve.",
    'user assistant system tool {"name": "get_weather", "arguments": {"city": "Rome"}}',
]
CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE with ChatML control tokens and a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_LENGTH,
    )


def make_llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_qwen2() -> PreTrainedModel:
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY_SIZE, n_embd=64, n_layer=2, n_head=4, n_positions=CONTEXT_LENGTH,
            bos_token_id=0, eos_token_id=2,
        )
    )  # fmt: skip


def make_bert() -> PreTrainedModel:
    return BertModel(
        BertConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH,
        )
    )  # fmt: skip


MAKERS = {"llama": make_llama, "broken": make_llama, "qwen2": make_qwen2, "gpt2": make_gpt2, "bert": make_bert}


def save_model(family: str, folder: Path) -> Path:
    """The model and its tokenizer in this folder. Weights larger than usual: flat logits would hide wrong ones."""
    torch.manual_seed(7)
    model = MAKERS[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
        if family == "broken":
            model.get_input_embeddings().weight[BROKEN_TOKEN] = float("nan")
            model.get_output_embeddings().weight[BROKEN_TOKEN] = 0.0
    model.save_pretrained(folder)
    tokenizer = make_tokenizer()
    if family == "bert":
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)]
        )
    tokenizer.save_pretrained(folder)
    return folder


def save_slow_model(folder: Path) -> Path:
    """One that takes some milliseconds a token and does not soon come to an end: there is time to disturb it."""
    torch.manual_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=768, intermediate_size=2048, num_hidden_layers=10,
            num_attention_heads=12, num_key_value_heads=12, max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def save_parrot(folder: Path, sentence: list[str], *, after: str = "\n", has_template: bool = True) -> Path:
    """A model that says this sentence after any prompt that ends with `after`, token by token, then ends.

    `sentence`: pieces; one that begins with `<`, `{` or a new line becomes a token of its own. No token may occur
    twice, since the model only knows which token follows which.
    """
    torch.manual_seed(7)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([piece for piece in sentence if piece[0] in "<{\n"])
    said = [token for piece in sentence for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]
    chain = [tokenizer(after)["input_ids"][-1], *said, tokenizer.eos_token_id]
    assert len(set(chain)) == len(chain), f"a token occurs twice in {tokenizer.convert_ids_to_tokens(chain)}"
    model = LlamaForCausalLM(_parrot_config(len(tokenizer)))
    with torch.no_grad():
        # Attention and MLP add nothing; the head recognises the embedding of the token before.
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        embeddings = model.model.embed_tokens.weight.normal_()
        model.lm_head.weight.zero_()
        model.lm_head.weight[chain[1:]] = embeddings[chain[:-1]]
    model.save_pretrained(folder)
    if not has_template:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return folder


def _parrot_config(vocabulary_size: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary_size, hidden_size=256, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=None, eos_token_id=2,
    )  # fmt: skip
