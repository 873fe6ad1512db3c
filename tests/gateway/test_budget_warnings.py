"""Who uses much of a budget is told so, once for each step and period. Nothing is mocked but the clock."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils.timezone import now

from accounts.models import Team, User
from fleet.fragments import read_fragments
from gateway.allowances import MemoryStore
from gateway.budget_warnings import bring_warnings_up_to_date, mail_warnings
from gateway.issuing import issue_key
from gateway.limits import added, read_limits
from gateway.models import APIKey, BudgetWarning

pytestmark = pytest.mark.django_db
WEDNESDAY = datetime(2026, 3, 11, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _wednesday(time_machine):
    time_machine.move_to(WEDNESDAY, tick=False)


@pytest.fixture
def maria() -> User:
    return User.objects.create_user("maria", email="maria@example.com")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def use(store):
    """So much of every budget there is, on top of what was used."""

    def more(amount: float) -> None:
        clock_s = now().timestamp()
        for limit in (limit for limits in read_limits().values() for limit in limits):
            slot = limit.slot(clock_s, "p")
            store.change(limit.bucket, lambda entries, slot=slot: added(entries, slot, amount, clock_s))

    return more


def steps(store) -> list[tuple[str, int]]:
    bring_warnings_up_to_date(store)
    return sorted((warning.span, warning.percent) for warning in BudgetWarning.objects.all())


def test_each_step_is_warned_of_once_in_its_period(store, use, maria, time_machine):
    issue_key(maria, "nightly", max_tokens_per_day=100, max_tokens_per_month=1000)
    told = []
    for amount in (49, 1, 0, 30, 20):
        use(amount)
        told.append(steps(store))
    assert told == [
        [],
        [("day", 50)],
        [("day", 50)],
        [("day", 50), ("day", 80)],
        [("day", 50), ("day", 80), ("day", 100)],
    ]
    time_machine.move_to(WEDNESDAY + timedelta(days=1), tick=False)
    assert steps(store) == []
    use(60)
    assert steps(store) == [("day", 50)]


def test_rates_are_no_budgets(store, use, maria):
    issue_key(maria, "nightly", max_requests_per_minute=1, max_parallel_requests=1)
    use(5)
    assert steps(store) == []


def test_a_budget_that_is_raised_takes_its_warnings_back(store, use, maria):
    key, _ = issue_key(maria, "nightly", max_tokens_per_week=100)
    use(90)
    before = steps(store)
    APIKey.objects.filter(pk=key.pk).update(max_tokens_per_week=150)
    assert (before, steps(store)) == ([("week", 50), ("week", 80)], [("week", 50)])


def test_people_see_the_warnings_of_their_keys_and_their_team_only(store, use, maria):
    maria.team = Team.objects.create(name="research", max_cost_per_month=2)
    maria.save()
    issue_key(maria, "nightly", max_tokens_per_day=100)
    issue_key(User.objects.create_user("ada"), "other's", max_tokens_per_day=100)
    use(100)
    bring_warnings_up_to_date(store)
    browser = Client()
    browser.force_login(maria)
    for page in ("/usage/", "/keys/"):
        told = browser.get(page).content.decode()
        assert ("nightly" in told, "research" in told, "other" in told) == (True, True, False)
        # Of the three steps the last.
        assert told.count('class="notice notice-bad"') == 2


def test_administrators_find_them_in_what_needs_attention(store, use, maria):
    issue_key(maria, "nightly", max_tokens_per_day=100)
    use(79)
    bring_warnings_up_to_date(store)
    assert "nightly" not in read_fragments(["attention"])["attention"].render()
    use(5)
    bring_warnings_up_to_date(store)
    told = read_fragments(["attention"])["attention"].render()
    assert "80 % of the budget of the key “nightly” of maria are used: 100 tokens a day" in told


def test_the_owner_is_written_to_once_about_the_last_step(store, use, maria, settings):
    settings.EMAIL_URL = "smtp://mail.example.com"
    issue_key(maria, "nightly", max_tokens_per_day=100)
    use(85)
    for _ in range(2):
        bring_warnings_up_to_date(store)
        mail_warnings()
    (letter,) = mail.outbox
    assert letter.to == ["maria@example.com"]
    assert letter.subject.startswith("Flotilla: 80 %")
    assert "2026-03-12 00:00" in letter.body


def test_nobody_is_written_to_where_no_mail_is_set_up(store, use, maria):
    issue_key(maria, "nightly", max_tokens_per_day=100)
    use(100)
    bring_warnings_up_to_date(store)
    assert (mail_warnings(), mail.outbox) == (0, [])


def test_a_mail_that_failed_is_tried_again(store, use, maria, settings, monkeypatch):
    settings.EMAIL_URL = "smtp://mail.example.com"
    issue_key(maria, "nightly", max_tokens_per_day=100)
    use(100)
    bring_warnings_up_to_date(store)
    with monkeypatch.context() as broken:
        broken.setattr("gateway.budget_warnings.send_mail", _refused)
        failed = mail_warnings()
    assert (failed, mail_warnings(), len(mail.outbox)) == (0, 1, 1)


def _refused(*_: object) -> None:
    raise ConnectionRefusedError
