"""From a program's request to the row that accounts for it: the real client, the real processes, and kill -9."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from django.contrib.auth import get_user_model
from openai.types.chat import ChatCompletion

from fleet.models import Deployment, Worker
from fleet.reconciler import reconcile
from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.journeys.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = [{"role": "user", "content": "Hello to the whole fleet"}]
LONG = [{"role": "user", "content": "one two three four five six seven eight nine ten " * 300}]
"""A minute at 20 ms a token: it still runs, however late the test comes to it."""


@pytest.fixture
def key() -> str:
    owner = get_user_model().objects.create_user("ada")
    _, text = issue_key(owner, "notebook", expires_at=None)
    return text


@pytest.fixture
def client(web, key):
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def slow_echo(start_worker, deploy, wait_ready, client):
    """A worker whose echo takes 20 ms a token, known to the gateway. Nothing is on record yet."""
    deployment = deploy("echo", source="delay=0.02")
    worker = start_worker()
    wait_ready(deployment)
    attempts = wait_until_it_answers(client)
    wait_until(lambda: UsageRecord.objects.count() == attempts, what="each attempt is on record once")
    UsageRecord.objects.all().delete()
    return worker


def wait_until_it_answers(client: openai.OpenAI) -> int:
    """How many requests it took."""
    for attempt in itertools.count(1):
        try:
            client.chat.completions.create(model="echo", messages=HELLO, max_tokens=1)
        except openai.APIStatusError:
            assert attempt < 200
            time.sleep(0.2)
        else:
            return attempt
    raise AssertionError


def ask(client: openai.OpenAI) -> ChatCompletion:
    return client.chat.completions.create(model="echo", messages=HELLO)


def served_by(worker: str) -> bool:
    return UsageRecord.objects.filter(worker_name=worker).exists()


def the_record() -> UsageRecord:
    wait_until(UsageRecord.objects.exists, what="the record is written")
    return UsageRecord.objects.get()


def test_a_request_becomes_one_row_that_names_who_what_and_how_much(slow_echo, client):
    answer = client.chat.completions.create(model="echo", messages=HELLO)
    record = the_record()
    assert (record.user_name, record.key_name, record.model, record.worker_name) == (
        "ada",
        "notebook",
        "echo",
        slow_echo.name,
    )
    assert (record.state, record.count_source) == ("complete", "engine")
    assert (record.prompt_tokens, record.completion_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )


def test_a_stream_is_counted_although_its_client_did_not_ask_for_usage(slow_echo, client):
    chunks = list(client.chat.completions.create(model="echo", messages=HELLO, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert the_record().completion_tokens == 5


def test_a_client_that_hangs_up_is_charged_for_what_was_generated_until_then(slow_echo, client):
    with client.chat.completions.create(model="echo", messages=LONG, stream=True) as stream:
        for _ in range(5):
            next(stream)
    record = the_record()
    assert (record.state, record.count_source) == ("cut_by_client", "engine")
    assert 3 <= record.completion_tokens < 3000


def test_a_worker_killed_in_a_stream_ends_it_with_an_error_that_the_client_raises(slow_echo, client):
    engines = slow_echo.children()
    stream = client.chat.completions.create(model="echo", messages=LONG, stream=True)
    for _ in range(5):
        next(stream)
    slow_echo.kill()
    for engine in engines:
        engine.kill()
    with pytest.raises(openai.APIError, match=r"\w"):
        list(stream)
    record = the_record()
    assert (record.state, record.count_source) == ("cut_by_upstream", "estimated")


def test_after_a_worker_was_killed_the_next_request_is_refused_as_unavailable_at_once(slow_echo, client):
    slow_echo.kill()
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="echo", messages=HELLO)
    assert refused.value.status_code in (502, 503)
    assert the_record().state == "failed"


def test_a_second_worker_takes_over_when_the_first_is_killed(slow_echo, client, start_worker):
    start_worker("worker-2")
    wait_until(Worker.objects.alive().filter(name="worker-2").exists, what="the second worker beats")
    Deployment.objects.update(num_replicas=2)
    reconcile()
    wait_until(lambda: ask(client) and served_by("worker-2"), what="the gateway uses the second worker too")
    slow_echo.kill()
    answers = [ask(client) for _ in range(4)]
    assert {answer.choices[0].message.content for answer in answers} == {HELLO[0]["content"]}


def test_killing_the_web_process_under_load_loses_no_completed_request_and_doubles_none(slow_echo, client, web):
    completed: list[str] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
            except openai.APIError:
                return
            completed.append(raw.headers["x-request-id"])

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(keep_asking)
        wait_until(lambda: len(completed) > 24, what="the load has begun", log=web.log)
        web.kill()
        stop.set()
    web.start()
    wait_until(
        lambda: UsageRecord.objects.filter(request_id__in=completed).count() == len(completed),
        what="every completed request is on record",
        log=web.log,
    )
    assert len(completed) == len(set(completed)) > 24
