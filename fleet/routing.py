"""The fleet's websockets."""

from django.urls import path

from fleet.live import FleetConsumer

websocket_urlpatterns = [path("ws/fleet/", FleetConsumer.as_asgi())]
