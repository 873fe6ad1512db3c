"""Every way in which a request can end, and what its usage record says then: a table.

Each line has a model and a replica of its own. A prompt token costs 10 cents, one of the answer 20, a cached one 5.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fleet.models import LanguageModel
from gateway.issuing import issue_key
from gateway.models import APIKey, ContentAction, ContentPolicy, CountSource, UsageRecord, UsageState
from tests.gateway.conftest import HELLO, LiveGateway, add_replica, post, wait_until
from tests.gateway.detailed_usage import a_sentence_then_wait, in_detail, with_odd_details
from tests.gateway.fake_replica import (
    Behaviour,
    FakeReplica,
    answer,
    die_after_one_word,
    end_after_one_word,
    end_after_usage,
    fail_after_one_word,
    hang_up,
    one_word_then_wait,
    refuse,
    talk_nonsense,
    wait,
)
from tests.gateway.test_continuing import BY_TOKENS, die_after_two_words, say_the_rest

ENGINE, ESTIMATED, NONE = (source.value for source in CountSource)
FULL, CHAT = (7, 4), "/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`tokens`: prompt and answer. `tries`: how often a replica was asked. `cost` in cents; None: nobody was asked."""

    state: UsageState
    status: int = 200
    code: str = ""
    source: str = ENGINE
    tokens: tuple[int, int] = FULL
    details: tuple[int, int] = (0, 0)
    """Cached and reasoning."""
    tries: int = 1
    cost: float | None = 150


class Scene:
    """One line of the table: a model of its own, and who asks it."""

    def __init__(self, gateway: LiveGateway, key: str, model: str) -> None:
        self.gateway, self.key, self.model = gateway, key, model
        self.fakes: list[FakeReplica] = []
        self.callers: list[socket.socket] = []

    def replica(self, behave: Behaviour = answer, **fields: Any) -> FakeReplica:
        fake = FakeReplica()
        fake.behave = behave
        self.fakes.append(fake)
        add_replica(fake.url, model=self.model, **fields)
        prices = {"input_price": 100_000, "output_price": 200_000, "cached_input_price": 50_000}
        LanguageModel.objects.filter(name=self.model).update(**prices)
        self.gateway.refresh()
        return fake

    def ask(self, behave: Behaviour = answer, path: str = CHAT, **more: Any) -> None:
        """Of one replica that behaves so."""
        self.replica(behave)
        self.post(path, **more)

    def post(self, path: str = CHAT, **more: Any) -> None:
        said = {} if path != CHAT else {"messages": HELLO}
        post(self.gateway, self.key, path, {"model": self.model, **said, **more})

    def begin(self, behave: Behaviour, *, until: bytes = b"", **more: Any) -> socket.socket:
        """The connection of a caller for whom the engine is at work, and who has heard so much."""
        fake = self.replica(behave)
        body = json.dumps({"model": self.model, "messages": HELLO, **more})
        head = f"POST /v1{CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\nContent-Length: {len(body)}"
        caller = socket.create_connection(("127.0.0.1", self.gateway.port))
        caller.sendall(f"{head}\r\n\r\n{body}".encode())
        assert fake.is_busy.wait(60)
        heard = b""
        while until not in heard:
            heard += caller.recv(65536)
        self.callers.append(caller)
        return caller

    def forbid(self, **fields: Any) -> None:
        policy = ContentPolicy.objects.create(name=self.model[:60], **fields)
        policy.for_models.add(LanguageModel.objects.get(name=self.model))
        self.gateway.refresh()

    def close(self) -> None:
        for open_end in (*self.callers, *self.fakes):
            open_end.close()


Provoke = Callable[[Scene], object]
Table = dict[str, tuple[Provoke, Ending]]
TABLE: Table = {}
SILENT: Table = {}
"""Where an engine may be silent for two seconds."""
STOPPED: Table = {}
"""Where the web process ends after that."""


def ends(state: UsageState, table: Table = TABLE, **told: Any) -> Callable[[Provoke], Provoke]:
    def keep(provoke: Provoke) -> Provoke:
        table[provoke.__name__] = (provoke, Ending(state=state, **told))
        return provoke

    return keep


COMPLETE, REFUSED, FAILED = UsageState.COMPLETE, UsageState.REFUSED, UsageState.FAILED
BY_CLIENT, BY_UPSTREAM, BY_SERVER = UsageState.CUT_BY_CLIENT, UsageState.CUT_BY_UPSTREAM, UsageState.CUT_BY_SERVER
UNSERVED: dict[str, Any] = {"source": NONE, "tokens": (0, 0), "tries": 0, "cost": None}
FRUITLESS: dict[str, Any] = {"source": NONE, "tokens": (0, 0), "cost": 0}
HALF: dict[str, Any] = {"tokens": (7, 2), "cost": 110}


# --- Answers that are whole ------------------------------------------------------------------------------------------
@ends(COMPLETE)
def a_plain_answer(scene):
    scene.ask()


@ends(COMPLETE)
def a_stream(scene):
    scene.ask(stream=True)


@ends(COMPLETE)
def a_stream_without_its_last_word(scene):
    scene.ask(end_after_usage, stream=True)


@ends(COMPLETE, tokens=(3, 0), cost=30)
def embeddings(scene):
    scene.ask(path="/embeddings", input="Hello")


@ends(COMPLETE, source=NONE, tokens=(0, 0), cost=0)
def a_count_of_tokens(scene):
    scene.ask(path="/tokenize", prompt="Hello")


@ends(COMPLETE)
def a_response(scene):
    scene.ask(path="/responses", input="Hello")


@ends(COMPLETE)
def a_streamed_response(scene):
    scene.ask(path="/responses", input="Hello", stream=True)


@ends(COMPLETE)
def a_message(scene):
    scene.replica()
    headers = {"x-api-key": scene.key}
    post(scene.gateway, scene.key, "/messages", {"model": scene.model, "messages": HELLO, "max_tokens": 9}, **headers)


@ends(COMPLETE, details=(4, 3), cost=130)
def a_plain_answer_in_detail(scene):
    scene.ask(in_detail)


@ends(COMPLETE, details=(4, 3), cost=130)
def a_stream_in_detail(scene):
    scene.ask(in_detail, stream=True)


@ends(COMPLETE)
def details_that_nobody_understands(scene):
    scene.ask(with_odd_details)


@ends(COMPLETE, tries=2)
def a_second_replica_after_one_that_fails(scene):
    scene.replica(hang_up)
    scene.replica(num_running=4)
    scene.post()


@ends(COMPLETE, tries=2)
def a_second_replica_in_the_middle(scene):
    scene.replica(die_after_two_words, capabilities=BY_TOKENS)
    scene.replica(say_the_rest, capabilities=BY_TOKENS, num_running=4)
    scene.post(stream=True)


# --- The client goes --------------------------------------------------------------------------------------------------
@ends(BY_CLIENT, status=499, **HALF)
def the_client_goes_before_a_plain_answer(scene):
    scene.begin(wait).close()


@ends(BY_CLIENT, status=499, **HALF)
def the_client_goes_before_a_stream_begins(scene):
    scene.begin(wait, stream=True).close()


@ends(BY_CLIENT, **HALF)
def the_client_goes_in_the_middle(scene):
    scene.begin(one_word_then_wait, until=b"Once", stream=True).close()


# --- The server goes --------------------------------------------------------------------------------------------------
@ends(BY_SERVER, STOPPED, status=503, code="server_stopping", **HALF)
def the_server_stops_before_a_plain_answer(scene):
    scene.begin(wait)


@ends(BY_SERVER, STOPPED, status=503, code="server_stopping", **HALF)
def the_server_stops_before_a_stream_begins(scene):
    scene.begin(wait, stream=True)


@ends(BY_SERVER, STOPPED, code="server_stopping", **HALF)
def the_server_stops_in_the_middle(scene):
    scene.begin(one_word_then_wait, until=b"Once", stream=True)


# --- The worker fails -------------------------------------------------------------------------------------------------
@ends(REFUSED, status=400, **FRUITLESS)
def the_engine_refuses(scene):
    scene.ask(refuse(400))


@ends(FAILED, status=502, code="upstream_failed", **FRUITLESS)
def the_engine_fails(scene):
    scene.ask(refuse(500))


@ends(FAILED, status=502, code="upstream_failed", **FRUITLESS)
def the_engine_talks_nonsense(scene):
    scene.ask(talk_nonsense)


@ends(FAILED, SILENT, status=504, code="upstream_timeout", **HALF)
def the_engine_is_silent(scene):
    scene.ask(wait)


@ends(BY_UPSTREAM, code="engine_failed", source=ESTIMATED, tokens=(0, 1), cost=20)
def the_engine_fails_in_the_middle(scene):
    scene.ask(fail_after_one_word, stream=True)


@ends(BY_UPSTREAM, code="upstream_failed", source=ESTIMATED, tokens=(0, 1), cost=20)
def the_worker_dies_in_the_middle(scene):
    scene.ask(die_after_one_word, stream=True)


@ends(BY_UPSTREAM, code="upstream_failed", source=ESTIMATED, tokens=(0, 1), cost=20)
def the_worker_ends_too_early(scene):
    scene.ask(end_after_one_word, stream=True)


@ends(BY_UPSTREAM, SILENT, code="upstream_timeout", source=ESTIMATED, tokens=(0, 1), cost=20)
def the_engine_is_silent_in_the_middle(scene):
    scene.ask(one_word_then_wait, stream=True)


@ends(FAILED, status=503, code="no_replica_ready", **FRUITLESS)
def nobody_is_at_that_address(scene):
    scene.replica().close()
    scene.post()


# --- It is refused ----------------------------------------------------------------------------------------------------
@ends(REFUSED, status=404, code="model_not_found", **UNSERVED)
def no_such_model(scene):
    scene.post()


@ends(REFUSED, status=400, code="invalid_value", **UNSERVED)
def a_wrong_value(scene):
    scene.ask(temperature="hot")


@ends(REFUSED, status=400, code="content_policy_violation", **UNSERVED)
def a_forbidden_question(scene):
    scene.replica()
    scene.forbid(words="Hello")
    scene.post()


@ends(REFUSED, status=400, code="content_policy_violation")
def a_forbidden_answer(scene):
    scene.replica()
    scene.forbid(words="upon", on_input=ContentAction.OFF)
    scene.post()


@ends(REFUSED, code="content_policy_violation", **HALF)
def a_forbidden_stream(scene):
    scene.replica(a_sentence_then_wait)
    scene.forbid(words="upon", on_input=ContentAction.OFF, hold_back=1)
    scene.post(stream=True)


@ends(REFUSED, status=429, code="insufficient_quota", **UNSERVED)
def a_budget_that_is_used_up(scene):
    scene.replica()
    _, scene.key = issue_key(APIKey.objects.first().owner, "poor", max_cost_per_day=0)
    scene.gateway.refresh()
    scene.post()


@pytest.fixture
def play(gateway, key):
    """`play(table)`: provoke each line."""
    scenes: list[Scene] = []

    def provoke_all(table: Table) -> None:
        for name, (provoke, _) in table.items():
            scenes.append(Scene(gateway, key, name))
            provoke(scenes[-1])

    yield provoke_all
    for scene in scenes:
        scene.close()


def check(table: Table) -> None:
    """Fails with each line of which the record says something else."""
    wait_until(lambda: UsageRecord.objects.count() == len(table))
    # A request that cannot be read names no model.
    records = {record.requested_model or a_wrong_value.__name__: record for record in UsageRecord.objects.all()}
    found = {name: told(record) for name, record in records.items()}
    wrong = [f"{name}\n  {found.get(name)}" for name, (_, ending) in table.items() if found.get(name) != ending]
    if wrong:
        pytest.fail("\n".join(wrong))


def told(record: UsageRecord) -> Ending:
    # An estimate goes by how long the JSON was.
    prompt = 0 if record.count_source == CountSource.ESTIMATED else record.prompt_tokens
    uncounted = record.prompt_tokens - prompt
    return Ending(
        state=UsageState(record.state),
        status=record.status_code,
        code=record.error_code,
        source=record.count_source,
        tokens=(prompt, record.completion_tokens),
        details=(record.cached_tokens, record.reasoning_tokens),
        tries=record.num_attempts,
        cost=None if record.cost is None else float(record.cost * 100) - 10 * uncounted,
    )


def test_each_ending_leaves_the_record_that_the_table_says(play):
    play(TABLE)
    check(TABLE)


def test_so_does_an_engine_that_is_silent_for_too_long(play, settings):
    settings.UPSTREAM_READ_TIMEOUT = timedelta(seconds=2)
    play(SILENT)
    check(SILENT)


def test_so_does_a_web_process_that_ends(play, gateway):
    play(STOPPED)
    gateway.close()
    check(STOPPED)
