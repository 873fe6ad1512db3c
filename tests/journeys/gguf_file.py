"""A Llama with a byte-level BPE and ChatML as a GGUF file: `python gguf_file.py WEIGHTS_FOLDER FILE.gguf [f32|bf16]`.

With numpy and gguf, no torch. The tests make one of the demo model, the bench of its models of random weights.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NUMBERS = {"F16": numpy.float16, "F32": numpy.float32}
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "bf16": gguf.GGMLQuantizationType.BF16}


def tensors(path: Path) -> Iterator[tuple[str, numpy.ndarray]]:
    """Of a safetensors file with float16 or float32 weights."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            yield name, numpy.frombuffer(data[start:end], NUMBERS[entry["dtype"]]).reshape(entry["shape"])


def gguf_name(name: str) -> str:
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
    layer, _, part = name.removeprefix("model.layers.").removesuffix(".weight").partition(".")
    return f"blk.{layer}.{NAMES[part]}.weight"


def interleaved(weight: numpy.ndarray, head_size: int) -> numpy.ndarray:
    """llama.cpp rotates neighbours, transformers halves."""
    split = weight.reshape(-1, 2, head_size // 2, *weight.shape[1:])
    return split.swapaxes(1, 2).reshape(weight.shape)


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, num_tokens: int) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokens = [f"<unused {number}>" for number in range(num_tokens)]
    types = [gguf.TokenType.UNUSED] * num_tokens
    for text, number in tokenizer["model"]["vocab"].items():
        tokens[number], types[number] = text, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_bos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def add_weight(writer: gguf.GGUFWriter, name: str, weight: numpy.ndarray, dtype: str) -> None:
    # llama.cpp wants vectors, those of the norms, in float32 always.
    kind = TYPES[dtype] if weight.ndim > 1 else TYPES["f32"]
    writer.add_tensor(name, gguf.quantize(weight.astype(numpy.float32), kind), raw_dtype=kind)


def main(folder: Path, target: Path, dtype: str = "f32") -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    add_tokenizer(writer, folder, config["vocab_size"])
    for name, weight in tensors(folder / "model.safetensors"):
        if "q_proj" in name or "k_proj" in name:
            weight = interleaved(weight, config["head_dim"])
        add_weight(writer, gguf_name(name), weight, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
