"""Every URL of the installation; each package lists its own."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView

from accounts.views import sign_out

urlpatterns = [
    # One way in and out, whatever the door.
    path("admin/login/", RedirectView.as_view(pattern_name="account_login", query_string=True)),
    path("admin/logout/", sign_out),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularJSONAPIView.as_view(urlconf="gateway.api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("accounts.urls")),
    path("", include("chat.urls")),
    path("", include("fleet.api.urls")),
    path("", include("gateway.api.management.urls")),
    path("", include("gateway.urls")),
]
