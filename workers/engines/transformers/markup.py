"""How one model marks what is not its answer's text: thoughts, and calls of tools."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers.utils.chat_parsing import ResponseParser

from workers.engines.transformers.call_formats import CallFormat, call_format
from workers.engines.transformers.thoughts import ThoughtMarks, thought_marks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """Known from a model's template and its tokenizer."""

    thoughts: ThoughtMarks | None
    calls: CallFormat
    tokens: Mapping[str, int]
    """The marks that are tokens of their own."""
    template: dict[str, Any] | None
    """The model's own response template, which says how to read its answers."""
    hidden: frozenset[int]
    """The control tokens that are no marks: they are not shown in texts."""

    def split(self, text: str) -> list[str]:
        """The text in pieces, those at odd places being marks that are tokens."""
        marks = [re.escape(mark) for mark in sorted(self.tokens, key=len, reverse=True) if mark in text]
        return re.split(f"({'|'.join(marks)})", text) if marks else [text]


def markup_of(tokenizer: Any) -> Markup:
    """Of the model with this tokenizer."""
    template = tokenizer.chat_template or ""
    text = template if isinstance(template, str) else "".join(template.values())
    thoughts, calls = thought_marks(tokenizer, text), call_format(text)
    own = _response_template(tokenizer)
    written = calls.marks + (thoughts.opening + thoughts.closing if thoughts else "")
    written += json.dumps(own, ensure_ascii=False) if own else ""
    added = tokenizer.added_tokens_decoder.items()
    return Markup(
        thoughts=thoughts,
        calls=calls,
        tokens={token.content: number for number, token in added if token.content in written},
        template=own,
        hidden=frozenset(number for number, token in added if token.special and token.content not in written),
    )


def _response_template(tokenizer: Any) -> dict[str, Any] | None:
    template = getattr(tokenizer, "response_template", None)
    if not isinstance(template, dict):
        return None
    try:
        ResponseParser(template, prefix="")
    except Exception as error:
        # Whatever a template that somebody else wrote may be made of.
        logger.warning("This model's response template cannot be read, and is passed over: %s", error)
        return None
    return template
