"""From a join token to a model that answers, seen in admin without one reload: a real browser, a real worker."""

import re
import shlex

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from fleet.models import LanguageModel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(page: Page) -> Page:
    get_user_model().objects.create_superuser("root", password="correct horse")
    page.goto("/admin/")
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("No worker has joined yet")).to_be_visible()
    return page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def issue_join_token(page: Page) -> str:
    page.goto("/admin/fleet/jointoken/add/")
    page.get_by_label("Name").fill("rack 4")
    save(page)
    page.get_by_text("By hand, in a copy of this repository").click()
    return shlex.split(page.locator("#command").inner_text())[-1]


def test_a_worker_arrives_and_a_model_becomes_ready_while_one_looks_on(admin: Page, start_worker, complaints):
    token = issue_join_token(admin)
    start_worker("box-7", token=token)
    expect(admin.get_by_text("box-7")).to_be_visible()

    LanguageModel.objects.create(name="parrot")
    admin.goto("/admin/fleet/deployment/add/")
    admin.get_by_role("combobox", name="Model").select_option(label="parrot")
    admin.get_by_role("combobox", name="Engine").select_option("echo")
    admin.locator("select[name=pinned_workers]").select_option(label="box-7 (alive)")
    save(admin)
    card = admin.locator("summary").filter(has_text="parrot")
    expect(card).to_contain_text(re.compile("ready.*1 of 1", re.DOTALL))

    admin.goto("/admin/")
    expect(admin.get_by_text("The fleet is well")).to_be_visible()
    assert complaints == []


def test_a_worker_that_dies_is_reported_on_the_open_page(admin: Page, start_worker):
    worker = start_worker("box-7")
    expect(admin.locator("[data-live=workers]")).to_contain_text("alive")
    worker.kill()
    expect(admin.get_by_text("Worker box-7 is silent")).to_be_visible()
