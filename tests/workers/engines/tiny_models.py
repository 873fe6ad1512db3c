"""Small models with random weights, as the hub would hold them. Made once a test session, in well under a second."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
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


def make_mistral() -> PreTrainedModel:
    """Sees the last 12 tokens only."""
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH, sliding_window=12,
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_gemma2() -> PreTrainedModel:
    """One layer sees the last 12 tokens only; attention scores are capped, low enough for it to matter."""
    return Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2, head_dim=16,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH, sliding_window=12,
            attn_logit_softcapping=0.5, bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_gpt_oss() -> PreTrainedModel:
    """Attention with sinks, experts, and a layer that sees the last 12 tokens only."""
    return GptOssForCausalLM(
        GptOssConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=64, num_hidden_layers=2, head_dim=16,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH, sliding_window=12,
            num_local_experts=2, num_experts_per_tok=1, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_bloom() -> PreTrainedModel:
    """Knows of distances by adding to its scores: it cannot be batched in our way."""
    return BloomForCausalLM(
        BloomConfig(vocab_size=VOCABULARY_SIZE, hidden_size=64, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=2)
    )


def make_mamba() -> PreTrainedModel:
    """No attention at all: it cannot be fed in pieces."""
    return MambaForCausalLM(
        MambaConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, num_hidden_layers=2, state_size=8,
            bos_token_id=None, eos_token_id=2,
        )
    )  # fmt: skip


def make_bert() -> PreTrainedModel:
    return BertModel(
        BertConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH,
        )
    )  # fmt: skip


LABELS = {"id2label": {0: "neutral", 1: "toxic", 2: "threat"}, "label2id": {"neutral": 0, "toxic": 1, "threat": 2}}


def make_bert_judge() -> PreTrainedModel:
    """One of its labels is true of a text."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH, num_labels=3, **LABELS,
        )
    )  # fmt: skip


def make_bert_labeller() -> PreTrainedModel:
    """Any of its labels may be true of a text."""
    model = make_bert_judge()
    model.config.problem_type = "multi_label_classification"
    return model


def make_llama_judge() -> PreTrainedModel:
    """A decoder with a head for labels, which has no token for padding."""
    return LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=None, eos_token_id=2, num_labels=3, **LABELS,
        )
    )  # fmt: skip


def make_bert_ranker() -> PreTrainedModel:
    """One output without a name: how well two texts belong together."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=CONTEXT_LENGTH, num_labels=1,
        )
    )  # fmt: skip


def make_bert_alarm() -> PreTrainedModel:
    """One output that is the name of a harm."""
    model = make_bert_ranker()
    model.config.id2label, model.config.label2id = {0: "toxic"}, {"toxic": 0}
    return model


def make_llama_ranker() -> PreTrainedModel:
    """A decoder that ranks."""
    return LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=VOCABULARY_SIZE, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=None, eos_token_id=2, num_labels=1,
        )
    )  # fmt: skip


MAKERS = {
    "bert_ranker": make_bert_ranker, "bert_alarm": make_bert_alarm, "llama_ranker": make_llama_ranker,
    "bert_judge": make_bert_judge, "bert_labeller": make_bert_labeller, "llama_judge": make_llama_judge,
    "llama": make_llama, "broken": make_llama, "qwen2": make_qwen2, "gpt2": make_gpt2, "mistral": make_mistral,
    "gemma2": make_gemma2, "gpt_oss": make_gpt_oss, "bloom": make_bloom, "mamba": make_mamba, "bert": make_bert,
}  # fmt: skip


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
    if family.startswith("bert"):
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A <|im_end|>",
            pair="<|im_start|> $A <|im_end|> $B:1 <|im_end|>:1",
            special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)],
        )
    tokenizer.save_pretrained(folder)
    if family.startswith("bert"):
        _feed_types(folder)
    return folder


def _feed_types(folder: Path) -> None:
    """Its tokenizer tells which of two texts a token belongs to, as BERT's own does."""
    path = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))


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
