"""The chat's pages: whose they are, what they show, and that they work as plain forms."""

import pytest
from django.test import AsyncClient, Client

from chat.models import Conversation, Message, MessagePhase
from fleet.models import Deployment, LanguageModel
from gateway.models import Route
from tests.chat.conftest import MODEL, add_turn
from tests.gateway.conftest import add_replica

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, ada) -> Client:
    client.force_login(ada)
    return client


def address(conversation: Conversation, act: str = "") -> str:
    return f"/chat/{conversation.pk}/{act}"


SOMEBODYS = "6f9619ff-8b86-4d01-b42d-00c04fc964ff"


@pytest.mark.parametrize("path", ["/", "/chats/", f"/chat/{SOMEBODYS}/", f"/chat/{SOMEBODYS}/delete/"])
def test_whoever_is_not_signed_in_is_asked_to(client: Client, path: str):
    assert client.get(path)["Location"].startswith("/login/")


@pytest.mark.parametrize("act", ["", "rename/", "delete/"])
def test_a_conversation_of_somebody_else_does_not_exist(client: Client, conversation, eve, act):
    client.force_login(eve)
    assert client.get(address(conversation, act)).status_code == 404


def test_nobody_deletes_the_conversation_of_somebody_else(client: Client, conversation, eve):
    client.force_login(eve)
    client.post(address(conversation, "delete/"))
    assert Conversation.objects.exists()


def test_the_list_holds_ones_own_conversations_only(page, conversation, eve):
    Conversation.objects.filter(pk=conversation.pk).update(title="Mine")
    Conversation.objects.create(owner=eve, model=MODEL, title="Hers")
    html = page.get("/").content.decode()
    assert "Mine" in html
    assert "Hers" not in html


def test_the_thread_shows_questions_as_text_and_answers_as_markdown(page, conversation):
    add_turn(conversation, "is *this* <b>bold</b>?", "**Yes**")
    html = page.get(address(conversation)).content.decode()
    assert "is *this* &lt;b&gt;bold&lt;/b&gt;?" in html
    assert "<strong>Yes</strong>" in html


def test_a_failed_answer_says_what_to_do_and_offers_to_try_again(page, conversation):
    add_turn(conversation, "Hello", "", phase=MessagePhase.FAILED, error_code="no_replica_ready")
    html = page.get(address(conversation)).content.decode()
    assert "Try again shortly." in html
    assert "data-regenerate" in html


def test_an_unknown_failure_is_shown_in_the_words_of_the_engine(page, conversation):
    add_turn(conversation, "Hello", "", phase=MessagePhase.FAILED, error_code="odd", error="The engine <hiccuped>.")
    assert "The engine &lt;hiccuped&gt;." in page.get(address(conversation)).content.decode()


def test_a_long_thread_shows_its_end_and_a_way_to_the_rest(page, conversation):
    for number in range(60):
        add_turn(conversation, f"Question {number}.", f"Answer {number}.")
    html = page.get(address(conversation)).content.decode()
    assert "Answer 59." in html
    assert "Answer 0." not in html
    assert "?shown=200" in html


def test_the_rest_of_a_long_thread_can_be_asked_for(page, conversation):
    for number in range(60):
        add_turn(conversation, f"Question {number}.", f"Answer {number}.")
    assert "Answer 0." in page.get(address(conversation) + "?shown=200").content.decode()


def test_renaming_is_a_plain_form(page, conversation):
    page.post(address(conversation, "rename/"), {"title": "Fleets"})
    conversation.refresh_from_db()
    assert conversation.title == "Fleets"


def test_deleting_asks_first(page, conversation):
    page.get(address(conversation, "delete/"))
    assert Conversation.objects.exists()


def test_deleting_takes_the_messages_too(page, conversation):
    add_turn(conversation, "Hello", "Hi.")
    page.post(address(conversation, "delete/"))
    assert not Message.objects.exists()


def test_all_conversations_can_be_searched_by_title(page, ada):
    for title in ("Sorting in Python", "Dinner"):
        Conversation.objects.create(owner=ada, model=MODEL, title=title)
    rows = page.get("/chats/?q=python").context["page"]
    assert [row.title for row in rows] == ["Sorting in Python"]


def test_with_nothing_deployed_people_are_told_whom_to_ask(page):
    assert "An administrator has to deploy one first" in page.get("/").content.decode()


def test_with_nothing_deployed_staff_are_led_to_the_deployment_form(client: Client, admin_user):
    client.force_login(admin_user)
    assert "/admin/fleet/deployment/add/" in client.get("/").content.decode()


def test_a_model_that_is_ready_can_be_chosen(page):
    add_replica("http://127.0.0.1:1", model="ready-model")
    assert '<option value="ready-model" selected>ready-model</option>' in page.get("/").content.decode()


@pytest.mark.parametrize(
    ("phase", "reason"), [("loading", "it is still loading"), ("failed", "it failed to load"), (None, "no worker")]
)
def test_a_model_that_is_not_ready_is_shown_with_the_reason(page, phase, reason):
    if phase:
        add_replica("http://127.0.0.1:1", model="late-model", phase=phase)
    else:
        Deployment.objects.create(model=LanguageModel.objects.create(name="late-model"))
    html = page.get("/").content.decode()
    assert f'<option value="late-model" disabled>late-model ({reason}' in html


def test_the_page_allows_no_inline_script_or_style(page, conversation):
    add_turn(conversation, "Hello", "```python\nx = 1\n```\n\n| a |\n|--:|\n| 1 |")
    answer = page.get(address(conversation))
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert " style=" not in answer.content.decode()


def test_the_page_speaks_the_language_of_its_reader(page, conversation):
    page.post("/i18n/setlang/", {"language": "zh-hans"})
    assert "?language=zh-hans" in page.get(address(conversation)).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_a_first_question_sent_as_a_form_begins_a_conversation(async_client: AsyncClient, gateway, ada):
    await async_client.aforce_login(ada)
    answer = await async_client.post("/chat/new/", {"text": "Hello\r\nyou", "model": MODEL})
    begun = await Conversation.objects.aget()
    assert answer["Location"] == f"/chat/{begun.pk}/"
    assert (await begun.messages.aget(role="user")).text == "Hello\nyou"


@pytest.mark.django_db(transaction=True)
async def test_an_empty_question_begins_nothing(async_client: AsyncClient, gateway, ada):
    await async_client.aforce_login(ada)
    await async_client.post("/chat/new/", {"text": " ", "model": MODEL})
    assert not await Conversation.objects.aexists()


def test_routes_can_be_chosen_and_models_that_only_they_lead_to_cannot(page):
    add_replica("http://127.0.0.1:1", model="llama")
    model = LanguageModel.objects.get(name="llama")
    Route.objects.create(name="house-model").targets.create(model=model)
    LanguageModel.objects.update(only_by_route=True)
    html = page.get("/").content.decode()
    assert "house-model" in html
    assert "llama" not in html
