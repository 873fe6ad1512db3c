"""What a skill may know about the chat so far when it makes the next turn."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workers.demo_model.corpus.turns import Language, Turn, expand


@dataclass(slots=True)
class Conversation:
    """memory: what the person has told, as typed; continues: what a short follow-up would go on with."""

    rng: random.Random
    language: Language
    memory: dict[str, str] = field(default_factory=dict)
    continues: str = ""
    last_answer: str = ""

    def wording(self, patterns: dict[Language, Sequence[str]]) -> tuple[str, str]:
        """A pattern of this chat's language and one wording of it."""
        pattern = self.rng.choice(patterns[self.language])
        return pattern, expand(pattern, self.rng)


Skill = Callable[[Conversation], Turn]
