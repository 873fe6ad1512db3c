from django.urls import path

from fleet.api.views import EnrolView, HeartbeatView, InstallView, ProgramView
from protocol.control import ENROL_PATH, HEARTBEAT_PATH, INSTALL_PATH, PROGRAM_PATH

urlpatterns = [
    path(ENROL_PATH.lstrip("/"), EnrolView.as_view()),
    path(INSTALL_PATH.lstrip("/"), InstallView.as_view()),
    path(PROGRAM_PATH.lstrip("/"), ProgramView.as_view()),
    path(HEARTBEAT_PATH.lstrip("/"), HeartbeatView.as_view()),
]
