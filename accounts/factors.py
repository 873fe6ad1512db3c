"""Second factors: what is ours in allauth's, and how somebody who has lost theirs gets in again."""

from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.gate import ALWAYS_OPEN, Gate
from accounts.models import SignInRules, User
from audit.encryption import decrypt, encrypt
from audit.models import Door
from audit.recording import actor_of, record


class FactorAdapter(DefaultMFAAdapter):
    """The secrets of second factors are encrypted at rest."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)


class SecondFactorForm(AuthenticateForm):
    """Wrong codes are in the audit log: who types them knows the password."""

    def clean_code(self) -> Any:
        try:
            return super().clean_code()
        except ValidationError as error:
            if error.code == "incorrect_code":
                record(actor_of(FactorAdapter().request, Door.SIGN_IN), "second factor failed", self.user)
            raise


class AddPasskeyForm(AddWebAuthnForm):
    """Every key that is added here signs its owner in by itself; others would be a second kind to explain."""

    name = forms.CharField(max_length=60, required=False)
    passwordless = forms.BooleanField(required=True)


_ENTERING_A_FACTOR = {
    *("account", "mfa_index", "mfa_list_webauthn", "mfa_activate_totp", "mfa_add_webauthn"),
    *("account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "account_set_password"),
    *("openid_connect_login", "openid_connect_callback", "terms"),
}


class FactorFirst(Gate):
    """To add a second factor, where the rules of signing in ask for one."""

    open_views = ALWAYS_OPEN | _ENTERING_A_FACTOR
    page, code = "account", "second_factor_required"
    message = _("Open this installation in a browser and add a second factor to your account first.")

    @staticmethod
    def is_closed_to(user: User) -> bool:
        return is_factor_due(user)


def is_factor_due(user: User) -> bool:
    """Whether this person has to have a second factor, and has none."""
    rules = SignInRules.objects.first()
    if rules is None or not rules.ask_for_factor(user):
        return False
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return not Authenticator.objects.filter(user=user, type__in=kinds).exists()


def forget_factors(user: User) -> int:
    """Only the password is asked for from now on; how many factors there were."""
    _, deleted = Authenticator.objects.filter(user=user).delete()
    return deleted.get("mfa.Authenticator", 0)


def factors_of(user: User) -> dict[str, Any]:
    """By kind: the code app and the recovery codes, or None; the passkeys, a list."""
    factors = [row.wrap() for row in Authenticator.objects.filter(user=user).order_by("created_at")]
    kinds = Authenticator.Type
    return {
        "app": next((factor for factor in factors if factor.instance.type == kinds.TOTP), None),
        "recovery_codes": next((factor for factor in factors if factor.instance.type == kinds.RECOVERY_CODES), None),
        "passkeys": [factor for factor in factors if factor.instance.type == kinds.WEBAUTHN],
    }
