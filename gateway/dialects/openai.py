"""OpenAI's own dialect: what differs is the model's name, and how usage is asked for."""

import msgspec

from fleet.provider_access import HostedModel
from gateway.events import event_data, split_events
from gateway.naming import answer_from


class OpenAITranslation:
    """`model` is our name of it."""

    def __init__(self, model: str, hosted: HostedModel, endpoint: str) -> None:
        self.path = f"/{endpoint}"
        self._model = model
        self._hosted = hosted

    def request(self, body: bytes) -> bytes:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if not self._hosted.access.can_ask_for_usage:
            fields.pop("stream_options", None)
        return msgspec.json.encode({**fields, "model": self._hosted.name})

    def answer(self, body: bytes) -> bytes:
        return answer_from(body, self._model)

    def events(self, block: bytes) -> bytes:
        return answer_from(_without_comments(block), self._model)


def _without_comments(block: bytes) -> bytes:
    """OpenRouter sends comments while it waits: they are no answer yet, and another replica may still be asked."""
    if not block.startswith(b":") and b"\n:" not in block:
        return block
    return b"".join(event for event in split_events(block) if event_data(event))
