"""Everything under /api/fleet/v1, and the document that tells of it."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.routers import SimpleRouter

from gateway.api.management.keys import Keys, Teams
from gateway.api.management.views import ContentPolicies, Routes

router = SimpleRouter(trailing_slash=False)
router.register("api/fleet/v1/routes", Routes)
router.register("api/fleet/v1/content-policies", ContentPolicies)
router.register("api/fleet/v1/keys", Keys)
router.register("api/fleet/v1/teams", Teams)

urlpatterns = [
    path("", include("fleet.api.management.urls")),
    *router.urls,
    path("api/fleet/v1/schema", SpectacularJSONAPIView.as_view(urlconf="gateway.api.management.urls")),
]
