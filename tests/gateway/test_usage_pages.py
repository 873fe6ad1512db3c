"""Everybody sees what they used, administrators what all used."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.test import AsyncClient, Client
from django.utils.timezone import now

from audit.csv_lines import plain_text
from gateway.charts import bar_chart
from gateway.models import UsageRecord
from gateway.reports import sum_usage_up

numbers = count()


@pytest.fixture
def browser() -> Client:
    return Client()


@pytest.fixture
def maria(django_user_model):
    return django_user_model.objects.create_user("maria")


@pytest.fixture
def page(browser: Client, maria) -> Client:
    """Maria's browser."""
    browser.force_login(maria)
    return browser


@pytest.fixture
def use(db):
    """`use(user, model="x")`: a request of that user, an hour ago."""

    def make(user, **fields: object) -> UsageRecord:
        given = {
            "request_id": f"req-{next(numbers)}",
            "created_at": now() - timedelta(hours=1),
            "user_id": user.pk,
            "user_name": user.get_username(),
            "model": "flotilla-demo",
            "endpoint": "chat/completions",
            "state": "complete",
            "count_source": "engine",
            "prompt_tokens": 1000,
            "completion_tokens": 234,
        }
        return UsageRecord.objects.create(**(given | fields))

    return make


def num_requests(response) -> int:
    return sum(line.sums.num_requests for line in response.context["report"].days)


async def read(response) -> list[dict[str, str]]:
    text = b"".join([part async for part in response]).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_people_see_their_own_requests(page: Client, maria, use):
    use(maria)
    assert num_requests(page.get("/usage/")) == 1


@pytest.mark.parametrize("rolled_up", [False, True], ids=["fresh", "rolled up"])
@pytest.mark.parametrize("query", ["", "?user={other}", "?model=secret-model", "?key=5", "?days=400"])
def test_people_never_see_anybody_elses(page: Client, use, admin_user, query, rolled_up):
    use(admin_user, model="secret-model", key_id=5, key_name="secret-key", created_at=now() - timedelta(hours=4))
    if rolled_up:
        sum_usage_up()
    shown = page.get("/usage/" + query.format(other=admin_user.pk))
    assert (num_requests(shown), b"secret-key" in shown.content) == (0, False)


@pytest.mark.django_db(transaction=True)
async def test_the_export_of_ones_own_holds_nobody_elses(async_client: AsyncClient, maria, use, admin_user):
    await async_client.aforce_login(maria)
    for user in (maria, admin_user):
        await UsageRecord.objects.acreate(
            request_id=f"req-{user.pk}",
            created_at=now(),
            user_id=user.pk,
            user_name=user.get_username(),
            state="complete",
        )
    rows = await read(await async_client.get(f"/usage/?format=csv&user={admin_user.pk}"))
    assert [row["user"] for row in rows] == ["maria"]


@pytest.mark.parametrize(("path", "status"), [("/usage/all/", 403), ("/usage/all/?format=csv", 403)])
def test_everybodys_usage_is_for_administrators(page: Client, path, status):
    assert page.get(path).status_code == status


def test_without_signing_in_there_is_nothing_to_see(browser: Client, db):
    assert browser.get("/usage/").url == "/login/?next=/usage/"


def test_administrators_see_all_by_user_and_can_narrow_it(admin_client: Client, admin_user, maria, use):
    use(maria)
    use(admin_user)
    everything, narrowed = admin_client.get("/usage/all/"), admin_client.get(f"/usage/all/?user={maria.pk}")
    assert (num_requests(everything), num_requests(narrowed)) == (2, 1)


def test_the_page_and_the_file_say_what_it_cost(page: Client, maria, use, settings):
    settings.CURRENCY = "EUR"
    use(maria, cost=Decimal("1234.5"))
    use(maria, cost=None)
    told = page.get("/usage/")
    (card,) = [card for card in told.context["report"].cards if card.is_money]
    assert (card.label, card.value) == ("Cost (EUR)", Decimal("1234.5"))
    # In the card, by model, by key and by day.
    assert told.content.decode().count("1,234.50") == 4


def test_what_a_content_policy_found_can_be_looked_at_alone(page: Client, maria, use, admin_user):
    use(maria)
    use(maria, content_policy="house rules", content_action="refuse", state="refused")
    use(admin_user, content_policy="secret rules")
    shown = page.get("/usage/", {"policy": "house rules"})
    assert (num_requests(shown), shown.context["policies"]) == (1, ["house rules"])


def test_cards_compare_with_the_period_before(page: Client, maria, use):
    for days in (0, 0, 1, 8):
        use(maria, created_at=now() - timedelta(days=days))
    card = page.get("/usage/?days=7").context["report"].cards[0]
    assert (card.value, card.percent) == (3, 200)


def test_the_chart_says_its_figures_in_words(page: Client, maria, use):
    use(maria)
    assert "1,000 prompt, 234 completion" in page.get("/usage/").content.decode()


def test_an_empty_page_tells_how_to_make_a_first_call(page: Client):
    assert "curl http://testserver/v1/chat/completions" in page.get("/usage/").content.decode()


@pytest.mark.parametrize(
    "query", ["first=2026-02-30", "first=2026-03-01&last=2026-02-01", "first=1990-01-01", "days=-3", "user=x", "key=x"]
)
def test_nonsense_in_the_address_is_named_and_shows_the_usual_days(page: Client, query):
    shown = page.get(f"/usage/?{query}")
    assert (shown.status_code, shown.context["form"].errors != {}, shown.context["report"].scope.period.num_days) == (
        200,
        True,
        30,
    )


@pytest.mark.django_db(transaction=True)
async def test_the_export_has_a_line_for_each_hour_user_key_and_model(async_client: AsyncClient, admin_user):
    await async_client.aforce_login(admin_user)
    an_hour = now()
    for model in ("a", "a", "b"):
        await UsageRecord.objects.acreate(
            request_id=f"req-{next(numbers)}",
            created_at=an_hour,
            user_id=1,
            model=model,
            state="complete",
            prompt_tokens=5,
        )
    rows = await read(await async_client.get("/usage/all/?format=csv"))
    assert [(row["model"], row["num_requests"], row["prompt_tokens"]) for row in rows] == [
        ("a", "2", "10"),
        ("b", "1", "5"),
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_no_name_in_the_export_is_a_formula(name):
    assert plain_text(name) == f"'{name}"


def test_bars_stand_on_each_other_and_fit():
    chart = bar_chart(["Mon", "Tue"], [(30, 10), (0, 0)])
    low, high = chart.bars[0].segments
    assert (low.y + low.height, high.y + high.height) == (chart.baseline, low.y)
