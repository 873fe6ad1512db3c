"""A worker that speaks TLS with a certificate of its own making: pinned, and used by the gateway."""

import openai
import pytest
from django.contrib.auth import get_user_model

from fleet.models import Worker
from gateway.issuing import issue_key
from tests.certificates import make_certificate
from tests.journeys.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def test_requests_reach_a_worker_over_tls_with_its_own_certificate(web, start_worker, deploy, wait_ready, tmp_path):
    certificate, key = make_certificate(tmp_path, "box")
    deployment = deploy("echo")
    start_worker("worker-1", "--tls-cert", str(certificate), "--tls-key", str(key))
    wait_ready(deployment)
    assert Worker.objects.get().address.startswith("https://")
    owner = get_user_model().objects.create_user("ada")
    _, secret = issue_key(owner, "notebook", expires_at=None)
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=secret, max_retries=0) as client:
        answer = wait_until(lambda: ask(client), what="the gateway passes the answer on")
    assert "Hello" in answer


def ask(client: openai.OpenAI) -> str | None:
    try:
        answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Hello"}])
    except openai.APIStatusError:
        return None
    return answer.choices[0].message.content
