from django.urls import path

from fleet.api.views import EnrolView, HeartbeatView
from protocol.control import ENROL_PATH, HEARTBEAT_PATH

urlpatterns = [
    path(ENROL_PATH.lstrip("/"), EnrolView.as_view()),
    path(HEARTBEAT_PATH.lstrip("/"), HeartbeatView.as_view()),
]
