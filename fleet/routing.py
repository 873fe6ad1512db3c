"""The fleet's websockets."""

from django.urls import path, re_path

from fleet.live import FleetConsumer, InspectionConsumer

websocket_urlpatterns = [
    path("ws/fleet/", FleetConsumer.as_asgi()),
    re_path(r"^ws/fleet/worker/(?P<worker_id>[0-9a-f-]{36})/(?P<kind>log|store)/$", InspectionConsumer.as_asgi()),
]
