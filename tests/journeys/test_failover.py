"""Kill -9 in the middle of an answer, with real workers and engines: the client reads on."""

from collections.abc import Iterator

import httpx2
import openai
import psutil
import pytest
from django.contrib.auth import get_user_model

from fleet.models import Worker
from gateway.issuing import issue_key
from gateway.models import CountSource, UsageRecord, UsageState
from tests.journeys.waiting import PATIENCE_S, wait_until
from tests.processes import command_of
from tests.workers.engines.tiny_models import save_slow_model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

ASK = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "temperature": 0}
LONG = [{"role": "user", "content": " ".join(f"word{number}" for number in range(60))}]


@pytest.fixture
def client(web) -> Iterator[openai.OpenAI]:
    _, key = issue_key(get_user_model().objects.create_user("ada"), "laptop", expires_at=None)
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture
def two_workers(start_worker, deploy, client):
    """`two_workers(engine=..., source=...)`: the daemons of the model "m"'s two replicas, which the gateway knows."""

    def start(**fields):
        daemons = [start_worker("worker-1"), start_worker("worker-2")]
        # Before its first heartbeat a worker counts as silent, and the other one would be given both replicas.
        heard = Worker.objects.filter(last_heartbeat_at__isnull=False)
        wait_until(lambda: heard.count() == 2, what="both workers have called", log=daemons[1].log)
        ready = deploy("m", num_replicas=2, **fields).replicas.filter(phase="ready")
        wait_until(lambda: ready.count() == 2, what="both replicas are ready", log=daemons[1].log)
        wait_until(lambda: answers(client) and both_have_answered(), what="the gateway knows them")
        return daemons

    return start


def answers(client) -> bool:
    try:
        read(client, messages=[{"role": "user", "content": "Hello"}], max_tokens=1)
    except openai.InternalServerError:
        return False
    return True


def both_have_answered() -> bool:
    return len(set(UsageRecord.objects.filter(completion_tokens=1).values_list("worker_name", flat=True))) == 2


def engines_of(daemon) -> list[psutil.Process]:
    return [child for child in daemon.children() if "workers.engines" in command_of(child)]


def is_busy(engine: psutil.Process) -> bool:
    """Whether a request runs there, by its own word."""
    command = command_of(engine)
    socket = httpx2.HTTPTransport(uds=command[command.index("--socket") + 1])
    with httpx2.Client(transport=socket, base_url="http://engine") as door:
        return door.get("/stats").json()["num_running"] > 0


def the_busy_one(daemons) -> tuple | None:
    """The daemon and the engine that answer now."""
    both = ((daemon, engine) for daemon in daemons for engine in engines_of(daemon))
    return next((found for found in both if is_busy(found[1])), None)


def kill_daemon(daemon, engine) -> None:
    daemon.kill()


def kill_engine(daemon, engine) -> None:
    engine.kill()


def read(client, **asked) -> list:
    """All chunks of one stream."""
    return list(client.chat.completions.create(**ASK | asked))


def read_disturbed(client, daemons, kill, **asked) -> list:
    """The same; after the fifth delta, what answers is killed. An engine that was done by then, because this process
    was slow to look, is asked again."""
    while True:
        with client.chat.completions.create(**ASK | asked) as stream:
            chunks = [next(stream) for _ in range(6)]
            if busy := the_busy_one(daemons):
                kill(*busy)
                return [*chunks, *stream]


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def the_last_record() -> UsageRecord:
    return wait_until(UsageRecord.objects.filter(completion_tokens__gt=1).first, what="the request is on record")


@pytest.mark.parametrize(
    ("sampling", "kill"),
    [({"temperature": 0}, kill_daemon), ({"temperature": 1.2, "seed": 5}, kill_engine)],
    ids=["greedy", "sampled with a seed"],
)
def test_with_a_real_model_the_text_is_that_of_an_undisturbed_run(client, two_workers, tmp_path, kill, sampling):
    source = str(save_slow_model(tmp_path / "model"))
    daemons = two_workers(engine="transformers", source=source, device="cpu")
    asked = {"messages": LONG, "max_tokens": 100, **sampling}
    undisturbed = read(client, **asked)
    assert undisturbed[-1].usage.completion_tokens > 50

    chunks = read_disturbed(client, daemons, kill, **asked)

    assert text_of(chunks) == text_of(undisturbed)
    assert counts(chunks[-1].usage) == counts(undisturbed[-1].usage)
    assert len({chunk.id for chunk in chunks}) == 1


def counts(usage):
    """What an engine had in its cache may differ from one to the other; what was used may not."""
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


@pytest.mark.parametrize("kill", [kill_daemon, kill_engine])
def test_the_client_the_record_and_the_next_request_know_nothing_of_it(client, two_workers, kill):
    daemons = two_workers(source="delay=0.1")

    chunks = read_disturbed(client, daemons, kill, messages=LONG)

    assert text_of(chunks) == LONG[0]["content"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    record = the_last_record()
    assert (record.state, record.count_source, record.completion_tokens) == (
        UsageState.COMPLETE, CountSource.ENGINE, 60,
    )  # fmt: skip
    assert text_of(read(client, messages=[{"role": "user", "content": "again"}])) == "again"
