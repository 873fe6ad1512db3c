"""How a state is shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A state in one word. `tone` is a colour's meaning: success, info, warning, danger or neutral."""

    text: str
    tone: str
    progress: int | None = None
    """Percent, while something loads."""
