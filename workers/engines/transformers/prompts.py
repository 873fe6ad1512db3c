"""Messages and texts to token ids. A user's text never becomes a control token."""

import copy
import json
import re
import secrets
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

import jinja2

from workers.errors import BadRequest

FALLBACK_TEMPLATE = """\
{%- for message in messages -%}
{{ message.role | capitalize }}: {{ message.content if message.content is string else
message.content | map(attribute="text", default=image_token) | join }}

{% endfor -%}
{%- if add_generation_prompt -%}Assistant:{%- endif -%}
"""
"""For models without a chat template: `User: Hello` and a blank line for each message, then `Assistant:`."""
FALLBACK_STOP = "\nUser:"
"""Where such a model, which knows of no turns, would begin to speak for the user."""

_NO_TEXT = re.compile(r"(?!)")

Encoded = TypeVar("Encoded", bound=Sized)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that a model reads as one: ids, and for each token which of the two it belongs to, if it wants that."""

    ids: list[int]
    types: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class PromptEncoder:
    """Knows a tokenizer and its template. Not safe for threads: tokenizers keep state while they encode."""

    def __init__(
        self, tokenizer: Any, context_length: int, *, image_token: str = "", lowers_case: bool = False
    ) -> None:
        """`image_token`: what the template writes for an image; empty where the model does not see."""
        self._tokenizer = tokenizer
        self._image_token = image_token
        self._context_length = context_length
        self._lowers_case = lowers_case
        self._max_token_characters = max(map(len, tokenizer.get_vocab()))
        # A copy each, since the switch that makes control tokens plain text is kept inside the tokenizer.
        self._plain_tokenizer = copy.deepcopy(tokenizer)
        self._control_text = _control_text(tokenizer, image_token)
        self.has_template = bool(tokenizer.chat_template)
        # Where it knows of images, it may know of nothing but lists of parts.
        self._wants_parts = bool(image_token) and "image" in str(tokenizer.chat_template)

    @property
    def can_use_tools(self) -> bool:
        """Whether the template shows tools to the model."""
        template = self._tokenizer.chat_template or ""
        return "tools" in (template if isinstance(template, str) else "".join(template.values()))

    def encode_chat(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
        *,
        continues: bool = False,
        placeholders: Sequence[str] = (),
    ) -> list[int]:
        """The chat with the model's turn opened, or, if it `continues`, with the last message's end left open.

        `placeholders`: what stands for each of its images. Raises BadRequest when the template cannot show these
        messages.
        """
        escape = _Escape(self._control_text)
        try:
            shown = [self._for_template(message) for message in messages]
            text = self._render(escape.hide(shown), escape.hide(tools), continues=continues)
        except jinja2.TemplateError as error:
            raise BadRequest(f"The model's chat template refuses these messages: {error}", param="messages") from error
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise BadRequest("The model's chat template cannot show these messages.", param="messages") from error
        except RecursionError as error:
            raise BadRequest("The messages or tools are nested too deeply.", param="messages") from error
        text = self._with_placeholders(text, placeholders)
        return [token for part, is_hidden in escape.split(text) for token in self._encode(part, is_plain=is_hidden)]

    def encode_prompt(self, text: str) -> list[int]:
        """A raw prompt, with what the tokenizer puts around it; control tokens inside are meant. Raises BadRequest."""
        ids = self._bounded(text, lambda part: self._tokenizer(part)["input_ids"])
        if not ids:
            raise BadRequest("'prompt' must not be empty: this model has no token to begin with.", param="prompt")
        return ids

    def encode_input(self, text: str, most: int | None = None, *, is_bare: bool = False) -> list[int]:
        """A text to be embedded, with what the tokenizer puts around texts, unless it is to be bare.

        Of one with far more than `most` tokens (the context, if that is not given) maybe not all are told.
        """
        return self._bounded(
            text.lower() if self._lowers_case else text,
            lambda part: self._plain_tokenizer(part, split_special_tokens=True, add_special_tokens=not is_bare)[
                "input_ids"
            ],
            most,
        )

    def encode_pair(self, first: str, second: str, *, cut_to: int | None = None) -> Pair:
        """Both with what the tokenizer puts around and between them; the second is cut where it is too long for that.

        Of one that has far more tokens than the context maybe not all are told.
        """
        if cut_to is None:
            return self._bounded(second, lambda part: self._pair(first, part))
        return self._pair(first, second[: (cut_to + 1) * self._max_token_characters], cut_to)

    def _pair(self, first: str, second: str, cut_to: int | None = None) -> Pair:
        cut = {} if cut_to is None else {"truncation": "only_second", "max_length": cut_to}
        found = self._plain_tokenizer(first, second, split_special_tokens=True, **cut)
        return Pair(found["input_ids"], found.get("token_type_ids", []))

    def _render(self, messages: Any, tools: Any, *, continues: bool) -> str:
        return self._tokenizer.apply_chat_template(
            messages,
            tools=tools,
            chat_template=None if self.has_template else FALLBACK_TEMPLATE,
            tokenize=False,
            add_generation_prompt=not continues,
            continue_final_message=continues,
            image_token=self._image_token,
        )

    def _with_placeholders(self, text: str, placeholders: Sequence[str]) -> str:
        """Nothing that users wrote can be taken for an image: their control tokens are hidden."""
        if not self._image_token:
            return text
        pieces = text.split(self._image_token)
        if len(pieces) != len(placeholders) + 1:
            raise BadRequest("The model's chat template cannot show images where these are.", param="messages")
        return "".join(part for pair in zip(pieces, (*placeholders, ""), strict=True) for part in pair)

    def _for_template(self, message: dict[str, Any]) -> dict[str, Any]:
        """As templates expect it: the arguments of a tool call are an object, and the content is text or parts."""
        shown = {**message, "content": self._content(message.get("content") or "")}
        if calls := message.get("tool_calls"):
            shown["tool_calls"] = [{**call, "function": _for_template_call(call["function"])} for call in calls]
        return shown

    def _content(self, content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if self._wants_parts else content
        return [part if part["type"] == "text" else {"type": "image"} for part in content]

    def _encode(self, text: str, *, is_plain: bool) -> list[int]:
        tokenizer = self._plain_tokenizer if is_plain else self._tokenizer
        return self._bounded(
            text, lambda part: tokenizer(part, add_special_tokens=False, split_special_tokens=is_plain)["input_ids"]
        )

    def _bounded(self, text: str, encode: Callable[[str], Encoded], most: int | None = None) -> Encoded:
        """The ids of a text; of one that is hopelessly long only as many as show that. Megabytes take seconds."""
        most = most or self._context_length
        # A longer text has more tokens, whatever it says.
        max_characters = (most + 1) * self._max_token_characters
        if len(text) > max_characters:
            ids = encode(text[:max_characters])
            # Fewer are possible where a tokenizer drops characters, such as runs of spaces.
            if len(ids) > most:
                return ids
        return encode(text)


class _Escape:
    """Hides control tokens' text in what users wrote while a template is rendered around it.

    Each occurrence becomes a random word that no template and no user knows; a text without any is not touched, so
    that it is tokenised in one piece, exactly as the model's authors did.
    """

    def __init__(self, control_text: re.Pattern[str]) -> None:
        self._control_text = control_text
        self._mark = f"x{secrets.token_hex(8)}x"
        self._hidden: list[str] = []

    def hide(self, value: Any) -> Any:
        """The same value, every string in it, at any depth, free of control tokens."""
        match value:
            case str():
                return self._control_text.sub(self._replace, value)
            case dict():
                return {self.hide(key): self.hide(item) for key, item in value.items()}
            case list():
                return [self.hide(item) for item in value]
            case _:
                return value

    def split(self, text: str) -> list[tuple[str, bool]]:
        """The rendered text in pieces, each with whether it is one that was hidden."""
        pieces = re.split(rf"{self._mark}(\d+)x", text)
        return [
            (self._hidden[int(piece)] if position % 2 else piece, bool(position % 2))
            for position, piece in enumerate(pieces)
            if piece
        ]

    def _replace(self, found: re.Match[str]) -> str:
        self._hidden.append(found[0])
        return f"{self._mark}{len(self._hidden) - 1}x"


def _control_text(tokenizer: Any, image_token: str) -> re.Pattern[str]:
    """Matches the text of every control token."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special} | {image_token}
    texts = sorted(filter(None, added | set(tokenizer.all_special_tokens)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts))) if texts else _NO_TEXT


def _for_template_call(function: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**function, "arguments": json.loads(function["arguments"])}
    except ValueError:
        return function
