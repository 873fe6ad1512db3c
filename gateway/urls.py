"""People's pages of the gateway: usage and keys. Programs' addresses are in gateway.api.urls."""

from django.urls import path

from gateway import exposition, reference_pages, team_key_views, team_views, views

urlpatterns = [
    path("metrics", exposition.metrics),
    path("reference/", reference_pages.inference, name="reference"),
    path("reference/fleet/", reference_pages.management, name="reference-fleet"),
    path("usage/", views.own_usage, name="usage"),
    path("usage/all/", views.all_usage, name="usage-all"),
    path("team/", team_views.team, name="team"),
    path("team/usage/", team_views.usage, name="team-usage"),
    path("team/accounts/", team_views.add_account, name="team-account-add"),
    path("team/keys/<int:key_id>/", team_key_views.key, name="team-key"),
    path("team/keys/<int:key_id>/rotate/", team_key_views.rotate, name="team-key-rotate"),
    path("team/keys/<int:key_id>/<str:act>/", team_key_views.decide, name="team-key-decide"),
    path("keys/", views.keys, name="keys"),
    path("keys/<int:key_id>/revoke/", views.revoke, name="key-revoke"),
]
