"""Addresses under /api/fleet/v1."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.routers import SimpleRouter

from fleet.api.management import views

router = SimpleRouter(trailing_slash=False)
router.register("api/fleet/v1/workers", views.Workers)
router.register("api/fleet/v1/models", views.Models)
router.register("api/fleet/v1/deployments", views.Deployments)
router.register("api/fleet/v1/replicas", views.Replicas)
router.register("api/fleet/v1/join-tokens", views.JoinTokens)

urlpatterns = [
    *router.urls,
    path("api/fleet/v1/schema", SpectacularJSONAPIView.as_view(urlconf="fleet.api.management.urls")),
]
