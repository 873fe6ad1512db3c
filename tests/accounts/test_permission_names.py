"""What an administrator may give people, in the administrator's language."""

import pytest
from django.test import Client


@pytest.mark.parametrize(("language", "act"), [("en", "Accounts | team | change"), ("zh-hans", "账号 | 团队 | 更改")])
@pytest.mark.parametrize("page", ["auth/group", "accounts/user/1"])
def test_permissions_are_named_in_the_readers_language(admin_client: Client, admin_user, language, act, page):
    path = f"/admin/{page}/add/" if page == "auth/group" else f"/admin/accounts/user/{admin_user.pk}/change/"
    assert act in admin_client.get(path, headers={"accept-language": language}).content.decode()


def test_the_scripts_of_the_admin_speak_chinese(admin_client: Client):
    words = admin_client.get("/admin/jsi18n/", headers={"accept-language": "zh-hans"}).content.decode()
    assert "\\u5168\\u90e8" in words or "选择全部%s" in words
