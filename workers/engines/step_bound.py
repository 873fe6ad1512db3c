"""Rule: how many tokens one step may feed to a model, which is fewer each time that memory runs out."""

from dataclasses import dataclass

DEFAULT_STEP_TOKENS = 256
MIN_STEP_TOKENS = 8


@dataclass(slots=True)
class StepBound:
    """Of one engine, from its start."""

    max_tokens: int = DEFAULT_STEP_TOKENS
    num_out_of_memory: int = 0
    """Steps that did not fit into memory."""

    def shrink(self) -> bool:
        """After one more of these: whether smaller steps are left to try."""
        self.num_out_of_memory += 1
        if self.max_tokens <= MIN_STEP_TOKENS:
            return False
        self.max_tokens //= 2
        return True
