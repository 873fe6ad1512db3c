"""The option `chat_template`: what chats look like to a model is the administrator's to say."""

import pytest

from tests.workers.engines.conftest import chat, loaded
from workers.errors import LoadError

TERSE = "{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %} ->"


@pytest.mark.parametrize("family", ["llama", "base"])
async def test_it_stands_for_the_models_own_or_for_none(model_folder, family):
    async with loaded(model_folder(family), chat_template=TERSE) as engine:
        shown = engine._loaded.tokenizer.decode(await engine.tokenize(chat("Hi")))

    assert shown == "[user] Hi ->"


async def test_tools_are_refused_where_it_does_not_show_them(model_folder):
    async with loaded(model_folder("llama"), chat_template=TERSE) as engine:
        assert "tools" not in engine.info.capabilities


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("/etc/hostname", "not the name of a file"),
        ("{% for message in messages %}", "cannot show a chat: .*end of template"),
        ("{{ raise_exception('Never') }}", "cannot show a chat: Never"),
        ("{{ messages.__class__.__mro__ }}", "cannot show a chat: access to attribute '__class__'"),
    ],
)
async def test_one_that_cannot_be_used_keeps_the_model_from_loading(model_folder, template, told):
    with pytest.raises(LoadError, match=told):
        async with loaded(model_folder("llama"), chat_template=template):
            pass
