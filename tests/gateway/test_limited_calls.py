"""What a caller with limits meets."""

import re
from decimal import Decimal

import openai
import pytest

from accounts.models import Team
from fleet.models import Deployment, LanguageModel
from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.gateway.conftest import HELLO, post, the_record, wait_until
from tests.gateway.fake_replica import one_word_then_wait, refuse

ASKED = {"model": "fake-1", "messages": HELLO, "max_tokens": 8}


@pytest.fixture
def call(gateway, user):
    """Calls with a key of these limits: the answers' statuses; and the last answer's error and headers."""
    texts: dict[str, str] = {}

    def calls(num: int, **limits):
        name = str(limits)
        if name not in texts:
            texts[name] = issue_key(user, "limited", **limits)[1]
            gateway.refresh()
        answers = [post(gateway, texts[name], "/chat/completions", ASKED) for _ in range(num)]
        return [answer.status_code for answer in answers], answers[-1]

    return calls


def test_requests_beyond_the_rate_are_refused_in_openais_words(call):
    statuses, last = call(3, max_requests_per_minute=2)
    error = last.json()["error"]
    assert (statuses, error["code"], error["type"], error["param"]) == (
        [200, 200, 429],
        "rate_limit_exceeded",
        "requests",
        None,
    )
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["x-ratelimit-remaining-requests"] == "0"


def test_each_answer_says_how_the_limits_stand(call):
    _, answer = call(1, max_requests_per_minute=60, max_tokens_per_minute=5000)
    names = [f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining")]
    assert [answer.headers[name] for name in names[:3]] == ["60", "59", "5000"]
    assert answer.headers["x-ratelimit-reset-requests"].endswith("s")


def test_a_key_without_limits_hears_nothing_of_any(client):
    answer = client.chat.completions.with_raw_response.create(model="fake-1", messages=HELLO)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_a_budget_that_is_used_up_is_told_as_insufficient_quota(call):
    # Each request uses 11 tokens.
    statuses, last = call(4, max_tokens_per_day=60)
    assert (statuses[0], statuses[-1], last.json()["error"]["code"]) == (200, 429, "insufficient_quota")


def test_a_budget_of_money_counts_what_the_model_costs(call, gateway):
    LanguageModel.objects.update(input_price=Decimal(100_000), output_price=Decimal(200_000))
    gateway.refresh()
    # 7 in and 4 out are 1.5 each; a request may take about 4 at most.
    statuses, _ = call(5, max_cost_per_day=Decimal(7))
    assert statuses == [200, 200, 200, 429, 429]


def test_the_models_say_what_they_cost(client, gateway):
    unknown = client.models.retrieve("fake-1").price
    LanguageModel.objects.update(input_price=Decimal("0.5"), output_price=Decimal(2))
    gateway.refresh()
    told = client.models.retrieve("fake-1")
    price = {"input": 0.5, "cached_input": 0.5, "output": 2.0, "currency": "USD"}
    assert (unknown, told.price) == (None, price)
    assert told.owned_by == "flotilla"


def test_the_record_keeps_the_price_of_its_time(client, gateway):
    LanguageModel.objects.update(input_price=Decimal("0.5"), output_price=Decimal(2))
    gateway.refresh()
    client.chat.completions.create(model="fake-1", messages=HELLO)
    record = the_record()
    LanguageModel.objects.update(input_price=9)
    record.refresh_from_db()
    assert (record.input_price, record.output_price, record.cost) == (
        Decimal("0.5"),
        Decimal(2),
        Decimal("0.0000115"),
    )


def test_keys_of_one_team_share_its_limits(gateway, user):
    team = Team.objects.create(name="research", max_requests_per_minute=2)
    texts = [issue_key(user, name, team=team)[1] for name in ("one", "two")]
    gateway.refresh()
    answers = [post(gateway, text, "/chat/completions", ASKED) for text in (*texts, *texts)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert "of this team" in answers[-1].json()["error"]["message"]


def test_a_request_that_failed_is_given_back(call, fake):
    fake.behave = refuse(400, code="context_length_exceeded")
    statuses, _ = call(3, max_requests_per_minute=1)
    assert statuses == [400, 400, 400]


def test_only_so_many_run_at_the_same_time_and_a_hang_up_makes_room(gateway, user, fake):
    _, text = issue_key(user, "one at a time", max_parallel_requests=1)
    gateway.refresh()
    fake.behave = one_word_then_wait
    with openai.OpenAI(base_url=gateway.url, api_key=text, max_retries=0, timeout=30) as client:
        stream = client.chat.completions.create(model="fake-1", messages=HELLO, stream=True)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="fake-1", messages=HELLO)
        stream.close()
    fake.behave = refuse(400)
    wait_until(lambda: post(gateway, text, "/chat/completions", ASKED).status_code == 400)
    assert "at the same time" in refused.value.message


def test_what_a_limit_refused_is_on_record(call):
    call(2, max_requests_per_minute=1)
    wait_until(lambda: UsageRecord.objects.count() == 2)
    refused = UsageRecord.objects.get(status_code=429)
    assert (refused.state, refused.error_code) == ("refused", "rate_limit_exceeded")


def test_a_budget_of_which_half_is_used_is_warned_of_in_the_answer(call, gateway, user):
    team = Team.objects.create(name="research", max_tokens_per_month=10_000)
    _, first = call(1, max_tokens_per_day=70, team=team)
    # Each request uses 11 tokens, and reserves about 30 until it has ended.
    _, second = call(1, max_tokens_per_day=70, team=team)
    assert "x-flotilla-budget-warning" not in first.headers
    assert re.fullmatch(r"key; tokens a day; used=[5-6]\d%", second.headers["x-flotilla-budget-warning"])


def test_the_models_say_whose_they_are(client, gateway):
    names = []
    for source in ("Qwen/Qwen3-0.6B", "modelscope:Qwen/Qwen3-0.6B", "/models/mine", "demo"):
        Deployment.objects.update(source=source)
        gateway.refresh()
        names.append(client.models.retrieve("fake-1").owned_by)
    assert names == ["Qwen", "Qwen", "flotilla", "flotilla"]
