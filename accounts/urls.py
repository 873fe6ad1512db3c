"""Signing in and out, people's own account, and the theme. allauth finds its pages by these names."""

from allauth.account import views as allauth
from allauth.mfa.base import views as second_factor
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as code_app
from allauth.mfa.webauthn import views as passkeys
from allauth.socialaccount import views as elsewhere
from django.urls import path, re_path

from accounts import forgotten
from accounts.social import come_back, start_elsewhere
from accounts.views import SignInView, account, invited, set_theme, sign_out, terms

urlpatterns = [
    path("login/", SignInView.as_view(), name="account_login"),
    path("logout/", sign_out, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("login/forgotten/", forgotten.ask, name="account_reset_password"),
    path("login/forgotten/sent/", forgotten.asked, name="account_reset_password_done"),
    path("login/forgotten/done/", forgotten.chosen, name="account_reset_password_from_key_done"),
    re_path(
        r"^login/forgotten/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        forgotten.choose,
        name="account_reset_password_from_key",
    ),
    path("sign-up/", allauth.signup, name="account_signup"),
    path("invitation/<str:text>/", invited, name="invitation"),
    path("account/", account, name="account"),
    path("account/password/", allauth.password_change, name="account_change_password"),
    path("account/password/first/", allauth.password_set, name="account_set_password"),
    path("account/", account, name="mfa_index"),
    path("account/app/", code_app.activate_totp, name="mfa_activate_totp"),
    path("account/app/remove/", code_app.deactivate_totp, name="mfa_deactivate_totp"),
    path("account/recovery-codes/", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("account/recovery-codes/new/", recovery_codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("account/recovery-codes/file/", recovery_codes.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("account/confirm/code/", second_factor.reauthenticate, name="mfa_reauthenticate"),
    path("login/code/", second_factor.authenticate, name="mfa_authenticate"),
    path("account/", account, name="mfa_list_webauthn"),
    path("account/passkeys/add/", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/remove/", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
    path("account/confirm/passkey/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("login/passkey/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("account/elsewhere/", elsewhere.connections, name="socialaccount_connections"),
    path("login/elsewhere/", elsewhere.signup, name="socialaccount_signup"),
    path("login/cancelled/", elsewhere.login_cancelled, name="socialaccount_login_cancelled"),
    path("login/error/", elsewhere.login_error, name="socialaccount_login_error"),
    path("oidc/<slug:provider_id>/login/", start_elsewhere, name="openid_connect_login"),
    path("oidc/<slug:provider_id>/login/callback/", come_back, name="openid_connect_callback"),
    path("account/confirm/", allauth.reauthenticate, name="account_reauthenticate"),
    path("terms/", terms, name="terms"),
    path("theme/", set_theme, name="theme"),
]
