"""Chats as padded batches of tokens, with a mark on those that the assistant says."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from workers.demo_model.corpus.chats import Chat

MAX_TRAINED_TOKENS = 1_024
POOL = 2_048


@dataclass(frozen=True, slots=True)
class Batch:
    """tokens (rows, length), padded on the right; is_target (rows, length - 1): is the next token the assistant's?"""

    tokens: torch.Tensor
    is_target: torch.Tensor


@dataclass(frozen=True, slots=True)
class Encoded:
    """One chat: its tokens, and 1 for each that the assistant says."""

    tokens: list[int]
    said: list[int]


def encode(chat: Chat, tokenizer: PreTrainedTokenizerFast) -> Encoded:
    """The chat through the very template that clients' chats go through."""
    encoded: Any = tokenizer.apply_chat_template(
        chat.messages, tools=chat.tools or None, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return Encoded(encoded["input_ids"], encoded["assistant_masks"])


def batches(chats: Iterable[Encoded], *, max_tokens: int, rng: random.Random) -> Iterator[Batch]:
    """Batches of chats of like length, padding included never above max_tokens.

    Chats are not packed into one row: each must begin without a past, or "What is my name?" would find a stranger's.
    """
    stream = iter(chats)
    while pool := [chat for chat in islice(stream, POOL) if len(chat.tokens) <= MAX_TRAINED_TOKENS]:
        groups = list(_by_length(pool, max_tokens))
        rng.shuffle(groups)
        yield from map(pad, groups)


def _by_length(pool: list[Encoded], max_tokens: int) -> Iterator[list[Encoded]]:
    group: list[Encoded] = []
    for chat in sorted(pool, key=lambda chat: len(chat.tokens)):
        if group and (len(group) + 1) * len(chat.tokens) > max_tokens:
            yield group
            group = []
        group.append(chat)
    yield group


def pad(chats: list[Encoded]) -> Batch:
    """The chats as one batch; padding on the right needs no attention mask, since nobody looks ahead."""
    length = max(len(chat.tokens) for chat in chats)
    tokens = torch.tensor([chat.tokens + [0] * (length - len(chat.tokens)) for chat in chats])
    said = torch.tensor([chat.said + [0] * (length - len(chat.said)) for chat in chats], dtype=torch.bool)
    return Batch(tokens, said[:, 1:])
