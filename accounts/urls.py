"""Signing in and out, and the theme."""

from django.contrib.auth import views as auth
from django.urls import path

from accounts.views import set_theme

urlpatterns = [
    path(
        "login/",
        auth.LoginView.as_view(template_name="accounts/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("theme/", set_theme, name="theme"),
]
