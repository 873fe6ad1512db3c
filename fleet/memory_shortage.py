"""Rule: what an administrator is told of an engine whose steps ran out of memory."""

from django.utils.translation import ngettext


def memory_shortage(num_out_of_memory: int, max_step_tokens: int | None) -> str:
    """What it does about it, and what helps; empty where memory is enough."""
    if not num_out_of_memory or max_step_tokens is None:
        return ""
    text = ngettext(
        "%(num)d step ran out of memory, so steps have %(tokens)d tokens at most now. Lower the options "
        "max_num_batched_tokens or kv_cache_gb.",
        "%(num)d steps ran out of memory, so steps have %(tokens)d tokens at most now. Lower the options "
        "max_num_batched_tokens or kv_cache_gb.",
        num_out_of_memory,
    )
    return text % {"num": num_out_of_memory, "tokens": max_step_tokens}
