"""An address of a form, opened as a page."""

from django.contrib.auth.models import AbstractBaseUser
from django.test import Client
from django.urls import reverse

from protocol.control import ENROL_PATH


def test_a_person_is_told_what_to_do(client: Client, django_user_model: type[AbstractBaseUser]):
    client.force_login(django_user_model.objects.create_user("ada"))
    answer = client.get(reverse("chat:new"))
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "send it again" in answer.content.decode()


def test_programs_keep_their_own_answer(client: Client):
    answer = client.put(ENROL_PATH)
    assert answer["Content-Type"].startswith("application/json")
