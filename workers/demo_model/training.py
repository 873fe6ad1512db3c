"""Training from nothing to weights: a Llama-shaped model, Muon for its matrices, AdamW for the rest."""

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workers.demo_model.batches import Batch, batches, encode
from workers.demo_model.corpus.chats import copying_lessons, lessons
from workers.demo_model.corpus.turns import DATA
from workers.demo_model.muon import Muon
from workers.demo_model.tokenizer import MAX_TOKENS, train_tokenizer

NUM_TOKENS = 2_304
HEAD_SIZE = 64
# The fused attention's backward pass on CPU costs twice what plain products do at these lengths.
ATTENTION = "eager"
NUM_CHATS_FOR_TOKENIZER = 12_000
NUM_THREADS = 2
# Copying is learnt late or never among all the rest, but within minutes by itself: so it comes first.
NUM_COPYING_STEPS = 450
MATRIX_LEARNING_RATE = 0.01
OTHER_LEARNING_RATE = 4e-3
# Tables with words that the chats hold too seldom for the tokenizer to notice.
VOCABULARIES = ("countries", "identity", "platform", "refusals", "small_talk", "words", "words_of_people")
NUM_WARM_UP_STEPS = 50
DECAY_SHARE = 0.6
# A second round from half the rate took a quarter off the mistakes that the first had left.
LATER_RATE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how large. The length is in steps, so that a busy machine makes the same weights, only later."""

    seed: int = 1
    rounds: tuple[int, ...] = (5_200, 2_800)
    """The steps of each. Each warms up and cools down, and has lessons of its own."""
    batch_tokens: int = 4_096
    hidden_size: int = 192
    num_layers: int = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """One step behind us: its number, its loss, and the share of the plan that is done."""

    step: int
    loss: float
    done: float


OnStep = Callable[[Progress], None]


def new_tokenizer(seed: int, *, num_chats: int = NUM_CHATS_FOR_TOKENIZER) -> PreTrainedTokenizerFast:
    """A tokenizer made from the corpus's tables and some of its chats, never from a chat that is held out."""
    chats = islice(lessons(seed), num_chats)
    tables = ((DATA / f"{name}.json").read_text(encoding="utf-8") for name in VOCABULARIES)
    texts = [*tables, *(json.dumps([chat.messages, chat.tools], ensure_ascii=False) for chat in chats)]
    return train_tokenizer(texts, num_tokens=NUM_TOKENS)


def new_model(tokenizer: PreTrainedTokenizerFast, plan: Plan) -> LlamaForCausalLM:
    """An untrained model."""
    torch.manual_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden_size,
        intermediate_size=plan.hidden_size * 8 // 3,
        num_hidden_layers=plan.num_layers,
        num_attention_heads=plan.hidden_size // HEAD_SIZE,
        num_key_value_heads=plan.hidden_size // HEAD_SIZE,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = ATTENTION
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan, *, on_step: OnStep) -> None:
    """Trains in place.

    The same seed gives the same lessons in the same order. The weights are the same only on the same processor with
    the same version of torch.
    """
    model.train()
    with ThreadPoolExecutor(NUM_THREADS, initializer=_compute_alone) as pool:
        rounds = (_losses(model, tokenizer, plan, number, pool) for number in range(len(plan.rounds)))
        for step, loss in enumerate(chain.from_iterable(rounds)):
            on_step(Progress(step, loss, step / sum(plan.rounds)))
    model.eval()


def _losses(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan, number: int, pool: ThreadPoolExecutor
) -> Iterator[float]:
    num_steps = plan.rounds[number]
    trainer = Trainer(model, _optimizers(model), pool)
    for step, batch in enumerate(islice(_lesson_batches(tokenizer, plan, number), num_steps)):
        yield trainer.step(batch, _share_of_rate(step, num_steps) * LATER_RATE**number)


def _compute_alone() -> None:
    torch.set_num_threads(1)


def _lesson_batches(tokenizer: PreTrainedTokenizerFast, plan: Plan, number: int) -> Iterator[Batch]:
    seed = plan.seed + number
    copying, everything = (
        batches((encode(chat, tokenizer) for chat in chats), max_tokens=plan.batch_tokens, rng=random.Random(seed))
        for chats in (copying_lessons(seed), lessons(seed))
    )
    return everything if number else chain(islice(copying, min(NUM_COPYING_STEPS, plan.rounds[0] // 2)), everything)


@dataclass(frozen=True, slots=True)
class Trainer:
    """Takes steps on a few threads, each with its share of a batch's chats.

    Torch's own threads wait for each other after each of a thousand small products, these ones twice a step.
    """

    model: LlamaForCausalLM
    optimizers: list[torch.optim.Optimizer]
    pool: ThreadPoolExecutor

    def step(self, batch: Batch, share_of_rate: float) -> float:
        """One step. Gives the mean loss of a token."""
        num_targets = int(batch.is_target.sum())
        shares = map(Batch, batch.tokens.chunk(NUM_THREADS), batch.is_target.chunk(NUM_THREADS))
        losses, gradients = zip(*self.pool.map(self._differentiate, shares), strict=True)
        for weight, *parts in zip(self.model.parameters(), *gradients, strict=True):
            weight.grad = torch.stack(parts).sum(0) / num_targets
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * share_of_rate
        list(self.pool.map(_step, self.optimizers))
        return float(sum(losses)) / num_targets

    def _differentiate(self, batch: Batch) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = loss_of(self.model, batch)
        return loss.item(), torch.autograd.grad(loss, list(self.model.parameters()))


def _step(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step()


def _optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    muons = [
        Muon(matrices[part::NUM_THREADS], lr=MATRIX_LEARNING_RATE, weight_decay=0.01, momentum=0.95)
        for part in range(NUM_THREADS)
    ]
    adam = torch.optim.AdamW(others, lr=OTHER_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    optimizers: list[torch.optim.Optimizer] = [*muons, adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def _share_of_rate(step: int, num_steps: int) -> float:
    """A short warm-up, a plateau, then a straight line down to nothing."""
    return min(1.0, (step + 1) / NUM_WARM_UP_STEPS, (1 - step / num_steps) / DECAY_SHARE)


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Summed cross-entropy of the assistant's tokens; the others never reach the output layer, which saves a third."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_has_fast_bfloat16()):
        hidden = model.model(input_ids=batch.tokens[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[batch.is_target])
    return functional.cross_entropy(logits.float(), batch.tokens[:, 1:][batch.is_target], reduction="sum")


def _has_fast_bfloat16() -> bool:
    return bool(torch.backends.cpu.get_cpu_capability().startswith("AVX512")) and torch.cpu._is_avx512_bf16_supported()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the weights as fp16, readable by everybody."""
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Older tools stumble over a class and a list that transformers 5 writes; tokenizer.json says it all anyway.
    settings = folder / "tokenizer_config.json"
    config = json.loads(settings.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config.pop("extra_special_tokens", None)
    settings.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
