"""How much of a limit is used, and when there is room again."""

from datetime import UTC, datetime

import pytest

from gateway.limits import Limit, Measure, Slot, Span, Subject, added, limits_in, period, room_at_s, used

NOON_S = datetime(2026, 3, 11, 12, tzinfo=UTC).timestamp()


def limit(measure: Measure, span: Span, amount: float) -> Limit:
    return Limit(subject=Subject.KEY, subject_id=1, measure=measure, span=span, amount=amount)


def test_a_minute_slides_with_the_clock():
    rate, entries = limit(Measure.REQUESTS, Span.MINUTE, 10), {}
    for second in (0, 20, 40):
        entries = added(entries, rate.slot(NOON_S + second, "p"), 3, NOON_S + second)
    assert [used(entries, NOON_S + second) for second in (59, 60, 80, 100)] == [9, 6, 3, 0]


def test_the_next_room_is_told_to_the_second_that_frees_it():
    entries = {"a": (6.0, NOON_S + 10), "b": (3.0, NOON_S + 30)}
    assert [room_at_s(entries, 10, amount, NOON_S) - NOON_S for amount in (1, 2, 7, 8)] == [0, 10, 10, 30]


def test_what_is_given_back_is_free_again_and_never_more_than_that():
    slot = Slot(label="a", expires_at_s=NOON_S + 60)
    entries = added(added({}, slot, 5, NOON_S), slot, -2, NOON_S)
    assert (used(entries, NOON_S), added(entries, slot, -9, NOON_S)) == (3, {})


@pytest.mark.parametrize(
    ("span", "first", "next_one"),
    [
        (Span.DAY, (2026, 12, 31), (2027, 1, 1)),
        (Span.WEEK, (2026, 12, 28), (2027, 1, 4)),
        (Span.MONTH, (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_budgets_begin_anew_with_the_calendar(span, first, next_one):
    moment = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)
    assert period(span, moment) == (datetime(*first, tzinfo=UTC), datetime(*next_one, tzinfo=UTC))


def test_only_the_columns_that_are_filled_are_limits():
    row = dict.fromkeys((f"max_tokens_per_{span}" for span in ("day", "week", "month")), None)
    row |= {f"max_cost_per_{span}": None for span in ("day", "week", "month")}
    row |= {"max_requests_per_minute": 60, "max_tokens_per_minute": None, "max_parallel_requests": 2, "pk": 7}
    assert [(found.bucket, found.amount) for found in limits_in(row, Subject.TEAM)] == [
        ("team:7:parallel:now", 2),
        ("team:7:requests:minute", 60),
    ]
