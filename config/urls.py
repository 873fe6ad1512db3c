"""Every URL of the installation; each package lists its own."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularJSONAPIView.as_view(urlconf="gateway.api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("accounts.urls")),
    path("", include("chat.urls")),
    path("", include("fleet.api.urls")),
    path("", include("fleet.api.management.urls")),
    path("", include("gateway.urls")),
]
