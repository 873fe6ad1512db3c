"""An administrator writes content policies, and tries them."""

import pytest
from django.test import Client
from django.urls import reverse

from fleet.models import LanguageModel
from gateway.models import ContentPolicy

ADD, TRY = "/admin/gateway/contentpolicy/add/", "/admin/gateway/contentpolicy/try_text/"
FORM = {"name": "house rules", "on_input": "refuse", "on_output": "mark", "hold_back": 200, "threshold": 0.5}


def test_a_policy_is_saved_and_told_in_the_list(admin_client: Client, db):
    page = admin_client.post(ADD, FORM | {"words": "gunpowder\n\nbad thing", "patterns": r"ID-\d+"}, follow=True)
    assert ContentPolicy.objects.get().on_output == "mark"
    assert b"2 words, 1 pattern" in page.content
    assert "all models · everybody" in page.content.decode()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Give at least one word, one pattern, or a classifier."),
        ({"words": "w", "threshold": 2}, "less than or equal to 1"),
        ({"patterns": "ok\na("}, "Line 2, “a(”: missing ): a(. Change it or take it out."),
        ({"patterns": "x*"}, "Line 1, “x*”: it matches even an empty text."),
        ({"words": "w" * 101}, "Line 1 is longer than 100 characters. Shorten it."),
        ({"words": "w\n" * 2001}, "More than 2000 lines. Divide them among two policies."),
        ({"words": "w", "hold_back": 4001}, "4000"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_remedy(admin_client: Client, db, fields, said):
    page = admin_client.post(ADD, FORM | fields)
    assert said in page.content.decode()
    assert not ContentPolicy.objects.exists()


def test_a_text_can_be_tried(admin_client: Client, db):
    ContentPolicy.objects.create(name="house rules", words="gunpowder")
    page = admin_client.post(TRY, {"text": "Some GUNPOWDER, please."}).content.decode()
    assert "Some<mark> GUNPOWDER,</mark> please." in page


def test_a_text_in_which_nothing_is_found_says_so(admin_client: Client, db):
    policy = ContentPolicy.objects.create(name="house rules", words="gunpowder")
    page = admin_client.post(TRY, {"text": "Hello", "policy": policy.pk}).content.decode()
    assert "nothing" in page
    assert "<mark>" not in page


def test_a_policy_leads_to_its_trial(admin_client: Client, db):
    policy = ContentPolicy.objects.create(name="house rules", words="gunpowder")
    page = admin_client.get(
        reverse("admin:gateway_contentpolicy_try_policy", args=[policy.pk]), follow=True
    ).content.decode()
    assert f'<option value="{policy.pk}" selected>' in page


def test_a_policy_whose_model_is_deleted_is_shown_to_hold_for_nobody(admin_client: Client, db):
    model = LanguageModel.objects.create(name="llama")
    admin_client.post(ADD, FORM | {"words": "gunpowder", "for_models": [model.pk]})
    assert not ContentPolicy.objects.get().holds_for_nobody
    model.delete()
    assert b"nobody any more" in admin_client.get("/admin/gateway/contentpolicy/").content
