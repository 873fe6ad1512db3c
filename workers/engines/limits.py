"""Rules that every engine keeps: what fits into the context, and how long the line may grow."""

from workers.engines.base import Generate
from workers.errors import ContextLengthExceeded, Overloaded

_WAITING_PER_SLOT, _MIN_WAITING = 4, 16


def completion_budget(request: Generate, prompt_tokens: int, context_length: int) -> int:
    """How many tokens may be generated, at least 1. Raises ContextLengthExceeded with OpenAI's words."""
    what = "messages" if request.messages is not None else "prompt"
    if prompt_tokens >= context_length:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context_length} tokens. However, your {what} resulted in "
            f"{prompt_tokens} tokens, which leaves no room for an answer. Please reduce the length of the {what}.",
            param=what,
        )
    budget = context_length - prompt_tokens
    if request.max_tokens is not None and request.max_tokens > budget:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context_length} tokens. However, you requested "
            f"{prompt_tokens + request.max_tokens} tokens ({prompt_tokens} in the {what}, {request.max_tokens} in the "
            f"completion). Please reduce the length of the {what} or the completion.",
            param=what,
        )
    return budget if request.max_tokens is None else request.max_tokens


def check_input_length(num_tokens: int, position: int, context_length: int) -> None:
    """Whether one input of an embeddings request fits. Raises ContextLengthExceeded."""
    if num_tokens > context_length:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context_length} tokens. However, input {position} has "
            f"{num_tokens} tokens. Please reduce its length.",
            param="input",
        )


def check_length(num_tokens: int, context_length: int, *, param: str) -> None:
    """Whether what is read together fits. Raises ContextLengthExceeded."""
    if num_tokens > context_length:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context_length} tokens. However, '{param}' resulted in "
            f"{num_tokens} tokens, with all that is read with it. Please reduce its length.",
            param=param,
        )


def max_open_requests(max_concurrency: int) -> int:
    """Requests that may run or wait at the same time."""
    return max_concurrency + max(_WAITING_PER_SLOT * max_concurrency, _MIN_WAITING)


def check_room(num_open: int, max_concurrency: int, retry_after_s: int) -> None:
    """Whether one more may join the line. Raises Overloaded."""
    if num_open >= max_open_requests(max_concurrency):
        raise Overloaded(
            f"The model already has {num_open} requests, running and waiting. Please try again later.",
            retry_after_s=retry_after_s,
        )
