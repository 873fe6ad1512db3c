"""How much each of a classifier's labels is true of a text."""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.engines.transformers.attention import using_attention
from workers.engines.transformers.padding import pad


class Classifier:
    """A model with a head for sequences. Runs in the model's thread."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._own_attention = model.config._attn_implementation
        # Labels that do not exclude each other each have a probability of their own.
        self._is_multi_label = model.config.problem_type == "multi_label_classification"
        self.labels: list[str] = [model.config.id2label[index] for index in range(model.config.num_labels)]

    def classify(self, batch: Sequence[list[int]]) -> list[Mapping[str, float]]:
        """For each list of ids the probability of every label, in order."""
        if self._model.config.pad_token_id is None:
            # A decoder looks at the last token, which it could not tell from padding.
            return [self._scores([item], padding=0)[0] for item in batch]
        return self._scores(batch, padding=self._model.config.pad_token_id)

    def _scores(self, batch: Sequence[list[int]], *, padding: int) -> list[Mapping[str, float]]:
        padded = pad(batch, padding=padding, device=self._model.device)
        with using_attention(self._model, self._own_attention):
            logits = self._model(input_ids=padded.ids, attention_mask=padded.mask).logits.float()  # (texts, labels)
        scores = logits.sigmoid() if self._is_multi_label or len(self.labels) == 1 else logits.softmax(-1)
        return [dict(zip(self.labels, row, strict=True)) for row in scores.tolist()]
