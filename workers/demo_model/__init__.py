"""The small model that ships with Flotilla: its corpus, its tokenizer, its training and its weights.

Nothing heavy is imported here, so that the worker daemon may ask for `WEIGHTS` without loading torch.
"""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
