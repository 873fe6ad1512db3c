"""What was used is told the same whether it was rolled up or not."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from gateway.models import UsageHour, UsageRecord
from gateway.reports import Period, Scope, Sums, lines_by, lines_by_day, sum_usage_up, total

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DAYS = Period(first=date(2026, 11, 18), last=date(2026, 11, 20))
numbers = count()


@pytest.fixture(autouse=True)
def _today(db):
    with time_machine.travel(NOW, tick=False):
        yield


def use(at: datetime, **fields: object) -> UsageRecord:
    given = {
        "request_id": f"req-{next(numbers)}",
        "user_id": 1,
        "user_name": "maria",
        "key_id": 7,
        "key_name": "laptop",
        "model": "flotilla-demo",
        "endpoint": "chat/completions",
        "state": "complete",
        "count_source": "engine",
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }
    return UsageRecord.objects.create(created_at=at, **(given | fields))


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


def use_at_all_times() -> None:
    """Some closed hours, the hour before this one, and this one."""
    for moment in (ago(days=2), ago(days=2, minutes=5), ago(hours=5), ago(hours=1), ago(minutes=3)):
        use(moment)


def test_the_figures_are_right_where_nothing_was_ever_rolled_up():
    use_at_all_times()
    assert total(Scope(period=DAYS)) == Sums(num_requests=5, prompt_tokens=50, completion_tokens=25)


def test_rolling_up_changes_no_figure():
    use_at_all_times()
    before = [lines_by_day(Scope(period=DAYS)), lines_by(Scope(period=DAYS), "key_id")]
    sum_usage_up()
    assert [lines_by_day(Scope(period=DAYS)), lines_by(Scope(period=DAYS), "key_id")] == before


def test_only_closed_hours_are_rolled_up():
    use_at_all_times()
    sum_usage_up()
    assert max(UsageHour.objects.values_list("hour", flat=True)) == datetime(2026, 11, 20, 7, tzinfo=UTC)


def test_rolling_up_twice_doubles_nothing():
    use_at_all_times()
    sum_usage_up()
    assert sum_usage_up() == 0


def test_a_record_that_comes_late_is_added_to_its_hour():
    use_at_all_times()
    sum_usage_up()
    use(ago(days=2))
    sum_usage_up()
    assert total(Scope(period=DAYS)).num_requests == 6


def test_the_sums_outlive_the_records():
    use_at_all_times()
    sum_usage_up()
    UsageRecord.objects.filter(created_at__lt=ago(days=2, minutes=2)).delete()
    sum_usage_up()
    assert total(Scope(period=DAYS)).num_requests == 5


def test_what_a_caller_cut_off_has_not_failed():
    for state in ("complete", "cut_by_client", "cut_by_upstream", "failed", "refused"):
        use(ago(hours=4), state=state)
    sum_usage_up()
    assert total(Scope(period=DAYS)).num_failed == 3


def test_a_day_is_a_day_of_the_time_zone_of_this_installation():
    use(datetime(2026, 11, 18, 23, 30, tzinfo=UTC))
    with timezone.override(ZoneInfo("Asia/Shanghai")):
        days = lines_by_day(Scope(period=DAYS))
    assert [(line.label, line.sums.num_requests) for line in days] == [
        ("2026-11-18", 0),
        ("2026-11-19", 1),
        ("2026-11-20", 0),
    ]


def test_the_period_before_is_as_long_and_ends_where_this_one_begins():
    assert DAYS.previous == Period(first=date(2026, 11, 15), last=date(2026, 11, 17))


def test_the_chat_is_one_line_among_the_keys():
    use(ago(hours=4), key_id=None, key_name="chat")
    use(ago(minutes=1), key_id=None, key_name="chat", user_id=2, user_name="tom")
    sum_usage_up()
    (line,) = lines_by(Scope(period=DAYS), "key_id")
    assert (line.label, line.sums.num_requests) == ("chat", 2)


@pytest.mark.parametrize(
    ("asked", "num_requests"), [({"user_id": 2}, 1), ({"model": "other"}, 1), ({"key_id": 7}, 3), ({"key_id": 0}, 1)]
)
def test_a_report_can_be_narrowed(asked, num_requests):
    use(ago(hours=4))
    use(ago(minutes=1), user_id=2)
    use(ago(minutes=1), model="other")
    use(ago(hours=4), key_id=None)
    sum_usage_up()
    assert total(Scope(period=DAYS, **asked)).num_requests == num_requests
