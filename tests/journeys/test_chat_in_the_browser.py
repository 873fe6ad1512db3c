"""From a question in the browser to the saved reply: a real browser, a real worker, nothing mocked."""

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from chat.models import Message
from tests.journeys.browsing import open_page
from tests.journeys.conftest import LiveServer
from tests.journeys.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

STORY = "\n\n".join(f"Paragraph {number} of a story with **bold** words and `code`." for number in range(1, 16))
# A minute of it: however busy the machine is, it still runs when a test comes to what it does in the middle.
LONG_STORY = "\n\n".join([STORY] * 10)
ANSWER = ".message-assistant .prose"
DONE = '.message-assistant[data-phase="complete"]'


@pytest.fixture
def slow_echo(start_worker, deploy, wait_ready):
    """A model that repeats the question, 50 ms a token."""
    deployment = deploy("echo", source="delay=0.05")
    worker = start_worker()
    wait_ready(deployment)
    return worker


@pytest.fixture
def signed_in(page: Page, slow_echo) -> Page:
    return sign_in(page)


def sign_in(page: Page) -> Page:
    get_user_model().objects.create_user("ada", password="correct horse")
    page.goto("/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Your question")).to_be_focused()
    return page


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your question").fill(text)
    page.keyboard.press("Enter")


def length(page: Page) -> int:
    return len(page.locator(ANSWER).last.inner_text())


def wait_for_growth(page: Page, beyond: int = 0) -> int:
    wait_until(lambda: length(page) > beyond, what="the answer grows")
    return length(page)


def test_an_answer_grows_survives_a_reload_in_the_middle_and_is_whole_in_the_end(signed_in: Page, complaints):
    page, story = signed_in, f"{STORY}\n\n{STORY}"
    ask(page, story)
    page.wait_for_url(re.compile("/chat/"))
    seen = wait_for_growth(page)
    grown = wait_for_growth(page, beyond=seen)
    page.reload()
    wait_for_growth(page, beyond=grown)
    expect(page.locator(DONE)).to_be_visible()
    expect(page.locator(ANSWER).locator("p")).to_have_count(30)
    assert Message.objects.get(role="assistant").text == story
    assert complaints == []


def test_a_second_tab_sees_the_same_answer_live(signed_in: Page, complaints):
    ask(signed_in, STORY)
    signed_in.wait_for_url(re.compile("/chat/"))
    wait_for_growth(signed_in)
    second = open_page(signed_in.context, complaints)
    second.goto(signed_in.url)
    expect(second.locator(DONE)).to_be_visible()
    expect(signed_in.locator(DONE)).to_be_visible()
    assert second.locator(ANSWER).inner_html() == signed_in.locator(ANSWER).inner_html()
    assert complaints == []


def test_stop_keeps_what_there_is_and_the_conversation_goes_on(signed_in: Page, complaints):
    page = signed_in
    ask(page, LONG_STORY)
    page.wait_for_url(re.compile("/chat/"))
    wait_for_growth(page)
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    ask(page, "Hello")
    expect(page.locator(DONE)).to_have_text(re.compile("Hello"))
    assert LONG_STORY.startswith(Message.objects.get(phase="stopped").text)
    assert complaints == []


@pytest.fixture
def one_place(start_worker, deploy, wait_ready):
    """The same, for one request at a time."""
    deployment = deploy("echo", source="delay=0.05", max_concurrency=1)
    start_worker()
    wait_ready(deployment)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Waiting for its turn: place 1"), ("zh-hans", "排队等候：第 1 位")]
)
def test_who_waits_for_a_turn_sees_the_place_and_then_the_answer(
    page: Page, web, one_place, complaints, language, said
):
    first = sign_in(page)
    ask(first, LONG_STORY)
    first.wait_for_url(re.compile("/chat/"))
    wait_for_growth(first)
    page.context.add_cookies([{"name": "django_language", "value": language, "url": web.url}])
    second = open_page(page.context, complaints)
    second.goto("/")
    second.locator("#question").fill("Hello")
    second.locator(".send-button[type=submit]").click()
    expect(second.get_by_text(said)).to_be_visible()
    first.get_by_role("button", name="Stop the answer").click()
    expect(second.locator(DONE)).to_have_text(re.compile("Hello"))
    expect(second.get_by_text(said)).to_have_count(0)
    assert complaints == []


def test_a_worker_lost_in_the_middle_is_told_and_what_had_come_stays(signed_in: Page, slow_echo):
    page = signed_in
    ask(page, LONG_STORY)
    page.wait_for_url(re.compile("/chat/"))
    wait_for_growth(page)
    engines = slow_echo.children()
    slow_echo.kill()
    for engine in engines:
        engine.kill()
    expect(page.get_by_text("The worker was lost in the middle of the answer.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert page.locator(ANSWER).inner_text().startswith("Paragraph 1")


def test_a_server_that_comes_back_finds_the_tab_waiting_and_the_text_kept(signed_in: Page, web):
    page = signed_in
    ask(page, LONG_STORY)
    page.wait_for_url(re.compile("/chat/"))
    wait_for_growth(page)
    web.terminate()
    expect(page.get_by_text("Nothing is lost")).to_be_visible()
    web.start()
    expect(page.get_by_text("The server was restarted before the answer was whole.")).to_be_visible()
    expect(page.get_by_text("Nothing is lost")).to_be_hidden()
    assert Message.objects.get(role="assistant").text.startswith("Paragraph 1")


@pytest.mark.skipif(not settings.REDIS_URL, reason="several web processes need Redis between them")
def test_a_tab_on_another_web_process_sees_the_answer_and_stops_it(signed_in: Page, complaints, tmp_path):
    ask(signed_in, LONG_STORY)
    signed_in.wait_for_url(re.compile("/chat/"))
    with LiveServer(tmp_path / "other") as other:
        other.start()
        elsewhere = open_page(signed_in.context, complaints)
        elsewhere.goto(other.url + urlsplit(signed_in.url).path)
        wait_for_growth(elsewhere, beyond=wait_for_growth(elsewhere))
        elsewhere.get_by_role("button", name="Stop the answer").click()
        expect(signed_in.get_by_text("Stopped.")).to_be_visible()
        elsewhere.close()
    assert complaints == []


@pytest.mark.once
def test_renaming_answering_again_and_deleting(signed_in: Page, complaints):
    page = signed_in
    ask(page, "Hello")
    expect(page.locator(DONE)).to_be_visible()
    page.locator(".topbar").get_by_title("Rename").click()
    page.locator("#rename-title").fill("Greetings")
    page.keyboard.press("Enter")
    expect(page.locator("#topbar-title")).to_have_text("Greetings")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 / 2")).to_be_visible()
    page.get_by_role("button", name="Previous version").click()
    expect(page.get_by_text("1 / 2")).to_be_visible()
    page.locator(".topbar").get_by_title("Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    assert not Message.objects.exists()
    assert complaints == []


@pytest.mark.once
def test_theme_and_language_are_switched_and_kept(signed_in: Page, complaints):
    page = signed_in
    page.get_by_role("button", name="Account and settings").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert complaints == []
