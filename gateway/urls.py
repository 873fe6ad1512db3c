"""People's pages of the gateway: usage and keys. Programs' addresses are in gateway.api.urls."""

from django.urls import path

from gateway import exposition, views

urlpatterns = [
    path("metrics", exposition.metrics),
    path("usage/", views.own_usage, name="usage"),
    path("usage/all/", views.all_usage, name="usage-all"),
    path("keys/", views.keys, name="keys"),
    path("keys/<int:key_id>/revoke/", views.revoke, name="key-revoke"),
]
