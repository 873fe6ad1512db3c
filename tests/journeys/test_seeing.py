"""From a program's picture to the words of a model that sees: the real client, the real processes."""

import openai
import pytest
from django.contrib.auth import get_user_model

from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.journeys.waiting import wait_until
from tests.pictures import inline, picture
from tests.workers.engines.tiny_seeing_models import TOKENS_PER_IMAGE, save_llava

pytestmark = pytest.mark.django_db(transaction=True)


def showing(colour: str) -> list[dict]:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": inline(picture(colour))}},
    ]
    return [{"role": "user", "content": parts}]


def test_a_picture_reaches_a_model_that_sees_and_is_counted_in_tokens(web, start_worker, deploy, wait_ready, tmp_path):
    deployment = deploy("llava", engine="transformers", source=str(save_llava(tmp_path / "llava")), device="cpu")
    start_worker()
    wait_ready(deployment)
    _, key = issue_key(get_user_model().objects.create_user("ada"), "notebook", expires_at=None)
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0) as client:
        name = deployment.model.name
        wait_until(lambda: "vision" in client.models.retrieve(name).capabilities, what="the model is known to see")
        red, blue = (
            client.chat.completions.create(model=name, messages=showing(colour), max_tokens=8, temperature=0)
            for colour in ("red", "blue")
        )
        assert red.choices[0].message.content != blue.choices[0].message.content
        assert red.usage.prompt_tokens == blue.usage.prompt_tokens > TOKENS_PER_IMAGE
    wait_until(lambda: UsageRecord.objects.count() == 2, what="both are on record")
    assert [record.prompt_tokens for record in UsageRecord.objects.all()] == [red.usage.prompt_tokens] * 2
