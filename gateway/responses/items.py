"""What a response is made of, and the events that tell how each grows.

output_item.added ── content_part.added ── delta* ── done ── content_part.done ── output_item.done
"""

from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]
Event = tuple[str, Body]
"""The type after `response.`, and the fields."""


class Speech:
    """Text that the model says, or thinks."""

    def __init__(self, index: int, identity: str, *, is_thought: bool) -> None:
        self._is_thought = is_thought
        self._kind = "reasoning_text" if is_thought else "output_text"
        self._id = f"{'rs' if is_thought else 'msg'}_{identity}"
        self._text = ""
        self._place = {"output_index": index}
        self._part_place = {"item_id": self._id, "output_index": index, "content_index": 0}
        self._notes: Body = {} if is_thought else {"logprobs": []}

    def begun(self) -> Iterator[Event]:
        yield "output_item.added", {**self._place, "item": self._item("in_progress", [])}
        yield "content_part.added", {**self._part_place, "part": self._part()}

    def more(self, text: str) -> Iterator[Event]:
        self._text += text
        yield f"{self._kind}.delta", {**self._part_place, "delta": text, **self._notes}

    def ended(self, status: str) -> Iterator[Event]:
        yield f"{self._kind}.done", {**self._part_place, "text": self._text, **self._notes}
        yield "content_part.done", {**self._part_place, "part": self._part()}
        yield "output_item.done", {**self._place, "item": self.item(status)}

    def item(self, status: str) -> Body:
        return self._item(status, [self._part()])

    def message(self) -> Body:
        """As chats have it; models are not shown what they thought."""
        return {} if self._is_thought else {"content": self._text}

    def _item(self, status: str, content: list[Body]) -> Body:
        kind = {"type": "reasoning", "summary": []} if self._is_thought else {"type": "message", "role": "assistant"}
        return {"id": self._id, **kind, "status": status, "content": content}

    def _part(self) -> Body:
        notes = {} if self._is_thought else {"annotations": [], **self._notes}
        return {"type": self._kind, "text": self._text, **notes}


class Call:
    """A call of one of the caller's functions."""

    def __init__(self, index: int, identity: str, *, call_id: str, name: str) -> None:
        self._id = f"fc_{identity}"
        self._call_id, self._name, self._arguments = call_id, name, ""
        self._place = {"output_index": index}
        self._own_place = {"item_id": self._id, "output_index": index}

    def begun(self) -> Iterator[Event]:
        yield "output_item.added", {**self._place, "item": self.item("in_progress")}

    def more(self, arguments: str) -> Iterator[Event]:
        self._arguments += arguments
        yield "function_call_arguments.delta", {**self._own_place, "delta": arguments}

    def ended(self, status: str) -> Iterator[Event]:
        yield "function_call_arguments.done", {**self._own_place, "arguments": self._arguments, "name": self._name}
        yield "output_item.done", {**self._place, "item": self.item(status)}

    def item(self, status: str) -> Body:
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self._arguments,
        }

    def message(self) -> Body:
        """As chats have it."""
        function = {"name": self._name, "arguments": self._arguments}
        return {"tool_calls": [{"id": self._call_id, "type": "function", "function": function}]}
