"""A team's managers see what it uses and decide about its keys, without being staff; nobody else does."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils.timezone import now

from accounts.models import Team, TeamRole, User
from audit.models import AuditEntry
from gateway.budget_warnings import mail_warnings
from gateway.issuing import issue_key
from gateway.models import APIKey, BudgetWarning, KeyScope, UsageRecord
from protocol.tokens import hash_token

pytestmark = pytest.mark.django_db
ISSUE = {"name": "nightly", "valid_for": "90"}


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="research", max_tokens_per_day=1000)


@pytest.fixture
def manager(team) -> User:
    return User.objects.create_user("maria", team=team, team_role=TeamRole.MANAGER)


@pytest.fixture
def member(team) -> User:
    return User.objects.create_user("ada", team=team)


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def test_a_manager_issues_a_key_that_shares_the_teams_limits(manager, team):
    page = browser_of(manager).post("/team/", ISSUE | {"owner": manager.pk, "max_tokens_per_day": 100})
    key = APIKey.objects.get()
    assert (key.team, key.owner, key.max_tokens_per_day) == (team, manager, 100)
    assert key.scopes == ["inference", "usage"]
    assert "sk-flt-" in page.content.decode()
    entry = AuditEntry.objects.get(object_kind="gateway.apikey")
    assert (entry.act, entry.actor_name, entry.door) == ("issued", "maria", "page")


def test_a_service_account_is_added_and_owns_keys(manager, team):
    browser = browser_of(manager)
    browser.post("/team/accounts/", {"username": "report-bot"})
    account = User.objects.get(username="report-bot")
    assert (account.team, account.is_service, account.is_staff) == (team, True, False)
    browser.post("/team/", ISSUE | {"owner": account.pk})
    assert APIKey.objects.get().owner == account


def test_nobody_acts_in_the_name_of_another_person(manager, member):
    stranger = User.objects.create_user("bot", is_service=True)
    root = User.objects.create_user("deployer", is_service=True, is_staff=True, team=manager.team)
    for owner in (member, stranger, root):
        page = browser_of(manager).post("/team/", ISSUE | {"owner": owner.pk})
        assert "owner" in page.context["key_form"].errors
    assert not APIKey.objects.exists()


def test_a_key_may_have_no_more_than_its_team(manager):
    page = browser_of(manager).post("/team/", ISSUE | {"owner": manager.pk, "max_tokens_per_day": 1001})
    assert list(page.context["key_form"].errors) == ["max_tokens_per_day"]
    assert "1,000" in page.content.decode()


@pytest.mark.parametrize(("act", "state"), [("disable", "disabled"), ("revoke", "revoked")])
def test_a_manager_puts_keys_of_the_team_out_of_force(manager, member, act, state):
    key, _ = issue_key(member, "laptop")
    browser_of(manager).post(f"/team/keys/{key.pk}/{act}/")
    key.refresh_from_db()
    assert (key.state, AuditEntry.objects.get().act) == (state, act)


def test_what_an_administrator_disabled_no_manager_enables(manager, member):
    key, _ = issue_key(member, "laptop")
    assert browser_of(manager).post(f"/team/keys/{key.pk}/enable/").status_code == 404


def test_keys_of_others_and_of_the_fleet_are_out_of_reach(manager, member):
    outside, _ = issue_key(User.objects.create_user("grace"), "laptop")
    lent, _ = issue_key(member, "lent", team=Team.objects.create(name="product"))
    of_fleet, _ = issue_key(member, "terraform", scopes=[KeyScope.FLEET])
    browser = browser_of(manager)
    answers = [browser.post(f"/team/keys/{key.pk}/revoke/").status_code for key in (outside, lent, of_fleet)]
    assert (answers, APIKey.objects.filter(revoked_at=None).count()) == ([404, 404, 403], 3)


def test_a_member_sees_the_team_and_decides_nothing(member, manager):
    key, _ = issue_key(manager, "laptop")
    browser = browser_of(member)
    page = browser.get("/team/").content.decode()
    assert ("maria" in page, key.hint in page) == (True, False)
    answers = [
        browser.post("/team/", ISSUE | {"owner": member.pk}),
        browser.get("/team/usage/"),
        browser.post("/team/accounts/", {"username": "bot"}),
        browser.post(f"/team/keys/{key.pk}/disable/"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert (APIKey.objects.count(), User.objects.count()) == (1, 2)


def test_who_is_in_no_team_has_no_such_page(django_user_model):
    loner = django_user_model.objects.create_user("loner", team_role=TeamRole.MANAGER)
    browser = browser_of(loner)
    assert [browser.get(path).status_code for path in ("/team/", "/team/usage/")] == [404, 404]


def test_a_manager_sees_what_the_team_used_and_nothing_else(manager, member, team):
    for number, (user, team_id) in enumerate([(member, team.pk), (manager, team.pk), (manager, None)]):
        UsageRecord.objects.create(
            request_id=f"req-{number}",
            created_at=now() - timedelta(hours=1),
            user_id=user.pk,
            user_name=user.get_username(),
            team_id=team_id,
            model="flotilla-demo",
            endpoint="chat/completions",
            state="complete",
            count_source="engine",
        )
    report = browser_of(manager).get("/team/usage/").context["report"]
    assert sum(line.sums.num_requests for line in report.days) == 2
    people = next(breakdown for breakdown in report.breakdowns if breakdown.parameter == "user")
    assert {line.label for line in people.lines} == {"ada", "maria"}


def test_nobody_signs_in_as_a_service_account():
    account = User.objects.create_user("bot", password="correct horse battery", is_service=True)
    assert authenticate(username="bot", password="correct horse battery") is None
    browser = Client()
    browser.force_login(account)
    assert browser.get("/usage/").status_code == 302


def test_a_person_who_becomes_a_service_account_is_signed_out(member):
    browser = browser_of(member)
    before = browser.get("/usage/").status_code
    User.objects.filter(pk=member.pk).update(is_service=True)
    assert (before, browser.get("/usage/").status_code) == (200, 302)


def test_a_budget_of_the_team_is_mailed_to_its_managers(manager, member, team, settings, mailoutbox):
    settings.EMAIL_URL = "smtp://mail.example.com"
    User.objects.filter(pk=manager.pk).update(email="maria@example.com")
    User.objects.filter(pk=member.pk).update(email="ada@example.com")
    BudgetWarning.objects.create(
        bucket=f"team:{team.pk}:tokens:day",
        team=team,
        measure="tokens",
        span="day",
        period=now().date(),
        ends_on=now().date() + timedelta(days=1),
        percent=80,
        amount=1000,
    )
    mail_warnings()
    assert [letter.to for letter in mailoutbox] == [["maria@example.com"]]


LIMITED = {"max_tokens_per_day": "500", "max_requests_per_minute": "9"}


def test_a_manager_limits_a_key_of_the_team(manager, member):
    key, _ = issue_key(member, "laptop", max_requests_per_minute=60)
    browser_of(manager).post(f"/team/keys/{key.pk}/", LIMITED)
    key.refresh_from_db()
    assert (key.max_tokens_per_day, key.max_requests_per_minute) == (500, 9)
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.actor_name, entry.after["max_tokens_per_day"]) == ("limited", "maria", 500)


def test_no_key_is_given_more_than_its_team(manager, member):
    key, _ = issue_key(member, "laptop")
    page = browser_of(manager).post(f"/team/keys/{key.pk}/", {"max_tokens_per_day": 1001})
    assert list(page.context["limits_form"].errors) == ["max_tokens_per_day"]
    assert APIKey.objects.get().max_tokens_per_day is None


def test_a_manager_rotates_the_keys_of_programs_and_their_own(manager, team):
    program = User.objects.create_user("bot", team=team, is_service=True)
    for owner in (manager, program):
        key, before = issue_key(owner, "nightly", team=team)
        page = browser_of(manager).post(f"/team/keys/{key.pk}/rotate/", {"grace": "24"})
        key.refresh_from_db()
        assert (hash_token(before), "no-store" in page["Cache-Control"]) == (key.previous_hash, True)
        assert key.key_hash == hash_token(page.context["secret"])
    assert list(AuditEntry.objects.values_list("act", "actor_name")) == [("rotated", "maria")] * 2


def test_nobody_comes_to_know_another_persons_secret(manager, member, team):
    key, _ = issue_key(member, "laptop")
    deployer, _ = issue_key(User.objects.create_user("deployer", team=team, is_service=True, is_staff=True), "deploy")
    browser = browser_of(manager)
    answers = [browser.post(f"/team/keys/{one.pk}/rotate/", {"grace": "0"}).status_code for one in (key, deployer)]
    assert (answers, APIKey.objects.exclude(previous_hash=None).count()) == ([403, 403], 0)
    assert b"theirs alone" in browser.get(f"/team/keys/{key.pk}/").content


@pytest.mark.parametrize("act", ["", "rotate/"])
def test_limits_and_secrets_of_keys_outside_the_team_are_out_of_reach(manager, member, act):
    outside, _ = issue_key(User.objects.create_user("grace"), "laptop")
    of_fleet, _ = issue_key(manager, "terraform", scopes=[KeyScope.FLEET])
    answers = [
        browser_of(manager).post(f"/team/keys/{outside.pk}/{act}", LIMITED),
        browser_of(manager).post(f"/team/keys/{of_fleet.pk}/{act}", LIMITED),
        browser_of(member).post(f"/team/keys/{outside.pk}/{act}", LIMITED),
    ]
    assert [answer.status_code for answer in answers] == [404, 403, 403]
    assert not AuditEntry.objects.exists()


def test_the_pages_of_a_key_say_what_is_used_and_left_of_its_limits_and_its_teams(manager, admin_client, team):
    key, _ = issue_key(manager, "nightly", max_tokens_per_day=400, max_cost_per_month=Decimal("2.5"))
    UsageRecord.objects.create(
        request_id="req-1", created_at=now(), key_id=key.pk, team_id=team.pk, endpoint="chat/completions",
        state="complete", count_source="engine", prompt_tokens=90, completion_tokens=10, cost=Decimal("0.5"),
    )  # fmt: skip
    pages = [
        browser_of(manager).get(f"/team/keys/{key.pk}/"),
        admin_client.get(f"/admin/gateway/apikey/{key.pk}/change/"),
    ]
    for page in pages:
        cells = re.findall(r'<td data-label="\w+">(.*?)</td>', page.content.decode())
        assert [cells[at : at + 3] for at in range(0, 9, 3)] == [
            ["400 tokens a day", "100 (25 %)", "300"],
            ["2.50 USD a month", "0.5 (20 %)", "2.00"],
            ["1,000 tokens a day · of the team", "100 (10 %)", "900"],
        ]
    assert "900" in admin_client.get(f"/admin/accounts/team/{team.pk}/change/").content.decode()
