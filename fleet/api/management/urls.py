"""The fleet's addresses under /api/fleet/v1; the gateway adds its own."""

from rest_framework.routers import SimpleRouter

from fleet.api.management import providers, views

router = SimpleRouter(trailing_slash=False)
router.register("api/fleet/v1/workers", views.Workers)
router.register("api/fleet/v1/models", views.Models)
router.register("api/fleet/v1/deployments", views.Deployments)
router.register("api/fleet/v1/replicas", views.Replicas)
router.register("api/fleet/v1/join-tokens", views.JoinTokens)
router.register("api/fleet/v1/providers", providers.Providers)
router.register("api/fleet/v1/provider-models", providers.Offers)

urlpatterns = router.urls
