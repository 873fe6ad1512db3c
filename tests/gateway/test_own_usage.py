"""A key asks what it has used, and what it has left."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import httpx2
import pytest
from django.utils.timezone import localdate, now

from accounts.models import Team
from gateway.issuing import issue_key
from gateway.models import APIKey, KeyScope, UsageRecord
from gateway.own_usage import _asking
from tests.gateway.conftest import HELLO, post, the_record

ASKED = {"model": "fake-1", "messages": HELLO, "max_tokens": 8}
numbers = count()


@pytest.fixture
def ask(gateway):
    """The status and the body of the answer to a question about usage."""

    def get(text: str, query: str = ""):
        gateway.refresh()
        answer = httpx2.get(f"{gateway.url}/usage{query}", headers={"Authorization": f"Bearer {text}"}, timeout=30)
        return answer.status_code, answer.json()

    return get


def use(key: APIKey, at: datetime, **fields: object) -> UsageRecord:
    given = {
        "request_id": f"req-{next(numbers)}",
        "user_id": key.owner_id,
        "key_id": key.pk,
        "model": "fake-1",
        "endpoint": "chat/completions",
        "state": "complete",
        "count_source": "engine",
        "prompt_tokens": 10,
        "cached_tokens": 2,
        "completion_tokens": 5,
        "reasoning_tokens": 1,
        "cost": Decimal("0.5"),
    }
    return UsageRecord.objects.create(created_at=at, **(given | fields))


def test_a_key_reads_what_it_used_by_model_and_by_day(ask, user):
    key, text = issue_key(user, "nightly")
    use(key, now())
    use(key, now(), model="other", state="failed", cost=None)
    use(key, now() - timedelta(days=40))
    status, told = ask(text)
    assert (status, told["key"], told["total"]) == (
        200,
        "nightly",
        {
            "num_requests": 2,
            "num_failed": 1,
            "prompt_tokens": 20,
            "cached_tokens": 4,
            "completion_tokens": 10,
            "reasoning_tokens": 2,
            "total_tokens": 30,
            "cost": 0.5,
        },
    )
    assert {line["model"]: line["num_requests"] for line in told["by_model"]} == {"fake-1": 1, "other": 1}
    assert (len(told["by_day"]), told["by_day"][-1]["num_requests"]) == (30, 2)
    assert told["this_day"]["num_requests"] == told["this_month"]["num_requests"] == 2


def test_the_days_that_are_asked_for_count_both_ends(ask, user):
    key, text = issue_key(user, "nightly")
    for day in (1, 2, 3, 4):
        use(key, datetime(2026, 3, day, 12, tzinfo=UTC))
    _, told = ask(text, "?start=2026-03-02&end=2026-03-03")
    assert (told["start"], told["end"], told["total"]["num_requests"]) == ("2026-03-02", "2026-03-03", 2)


def test_nobody_reads_what_other_keys_of_the_same_person_used(ask, user):
    other, _ = issue_key(user, "other")
    use(other, now())
    _, text = issue_key(user, "nightly")
    assert ask(text)[1]["total"]["num_requests"] == 0


def test_limits_tell_what_is_left_and_when_they_begin_anew(ask, gateway, user):
    team = Team.objects.create(name="research", max_tokens_per_month=1_000_000)
    _, text = issue_key(user, "nightly", team=team, max_requests_per_minute=60, max_tokens_per_day=1000)
    gateway.refresh()
    assert post(gateway, text, "/chat/completions", ASKED).status_code == 200
    limits = {(one["of"], one["measure"], one["span"]): one for one in ask(text)[1]["limits"]}
    # The request used 11 tokens.
    assert [(one["limit"], one["used"], one["left"]) for one in limits.values()] == [
        (60, 1, 59), (1000, 11, 989), (1_000_000, 11, 999_989),
    ]  # fmt: skip
    day = datetime.fromisoformat(limits["key", "tokens", "day"]["resets_at"])
    assert day.date() == localdate() + timedelta(days=1)


def test_a_budget_that_is_set_later_knows_what_was_used_before(ask, user):
    key, text = issue_key(user, "nightly", max_cost_per_month=Decimal(2))
    use(key, now())
    (limit,) = ask(text)[1]["limits"]
    assert (limit["used"], limit["left"]) == (0.5, 1.5)


def test_the_question_is_not_metered(ask, client, user):
    client.chat.completions.create(model="fake-1", messages=HELLO)
    ask(issue_key(user, "nightly")[1])
    assert the_record().endpoint == "chat/completions"


def test_a_key_that_is_not_for_reading_usage_is_refused(ask, user):
    _, text = issue_key(user, "nightly", scopes=[KeyScope.INFERENCE])
    status, told = ask(text)
    assert (status, told["error"]["code"]) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?start=yesterday", "start"),
        ("?end=2026-02-30", "end"),
        ("?start=0001-01-01", "start"),
        ("?end=9999-12-31", "end"),
        ("?start=2026-03-02&end=2026-03-01", "start"),
        ("?start=2020-01-01&end=2026-03-01", "start"),
        ("?month=3", "month"),
    ],
)
def test_what_is_wrong_with_the_question_is_named(ask, key, query, param):
    status, told = ask(key, query)
    assert (status, told["error"]["param"]) == (400, param)


def test_one_question_of_a_key_is_answered_at_a_time(ask, key):
    asking = APIKey.objects.get().pk
    _asking.add(asking)
    try:
        status, told = ask(key)
    finally:
        _asking.discard(asking)
    assert (status, told["error"]["code"]) == (429, "rate_limit_exceeded")
    assert ask(key)[0] == 200
