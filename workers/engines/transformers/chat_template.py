"""The option `chat_template`: a template in the place of the model's own, or of none."""

from typing import Any

import jinja2

from workers.engines.base import EngineSpec
from workers.errors import LoadError

_MARKS = ("{{", "{%")
_QUESTION = [{"role": "user", "content": "Hello"}]


def use_asked_template(tokenizer: Any, spec: EngineSpec) -> None:
    """Have the tokenizer show chats by the template that the spec asks for, if it does. Raises LoadError.

    It is the template itself, and no file's name: whoever configures a model is not to read the worker's files.
    """
    template = spec.options.get("chat_template")
    if not template:
        return
    if not any(mark in template for mark in _MARKS):
        raise LoadError("The option chat_template is no template: put Jinja's text in it, not the name of a file.")
    tokenizer.chat_template = template
    try:
        tokenizer.apply_chat_template(_QUESTION, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise LoadError(f"The option chat_template cannot show a chat: {error}") from error
