"""Passkeys in a real browser, whose authenticator is a virtual one."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import CDPSession, Page, expect

pytestmark = pytest.mark.django_db(transaction=True)

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def device(page: Page) -> CDPSession:
    """Somebody whose finger is on the sensor."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    return device


@pytest.fixture
def site(web) -> str:
    """By a name: browsers give no passkey to an IP address."""
    get_user_model().objects.create_user("ada", password="correct horse")
    return f"http://localhost:{web.port}"


def sign_in(page: Page, site: str) -> None:
    page.goto(f"{site}/login/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.locator('form[action$="/logout/"]').first.evaluate("form => form.submit()")
    page.wait_for_url("**/login/**")


def add_passkey(page: Page, site: str) -> None:
    page.goto(f"{site}/account/passkeys/add/")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()


def test_a_passkey_is_added_and_signs_in_without_a_password(page: Page, site, device, complaints):
    sign_in(page, site)
    add_passkey(page, site)
    page.goto(f"{site}/account/")
    expect(page.get_by_text("laptop")).to_be_visible()
    sign_out(page)
    page.goto(f"{site}/login/?next=/usage/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/usage/")
    assert complaints == []


def test_whoever_has_a_passkey_needs_it_or_a_recovery_code_beside_the_password(page: Page, site, device, complaints):
    sign_in(page, site)
    add_passkey(page, site)
    sign_out(page)
    sign_in(page, site)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Your conversations will be listed here.")).to_be_visible()
    assert complaints == []


@pytest.mark.once
def test_at_a_bare_ip_address_the_page_says_why_there_are_no_passkeys(page: Page, web, site):
    sign_in(page, web.url)
    page.goto("/account/passkeys/add/")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("not under a bare IP address")).to_be_visible()
    expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()


@pytest.mark.once
def test_a_device_that_says_no_is_said_to_have_said_no(page: Page, site, device):
    page.goto(f"{site}/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was given")
