"""Doors for programs that manage names."""

from typing import cast

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from accounts.models import User
from fleet.api.management.access import ManagementView, asked
from fleet.errors import ActRefused
from gateway.api.management.serializers import (
    ContentPolicySerializer,
    ExplanationSerializer,
    Question,
    RouteSerializer,
)
from gateway.errors import ModelNotFound
from gateway.explanation import explain
from gateway.models import ContentPolicy, Route


class ContentPolicies(ManagementView, ModelViewSet):
    """What may not be said, and by whom."""

    queryset = (
        ContentPolicy.objects.select_related("classifier").prefetch_related("for_models", "for_teams").order_by("name")
    )
    serializer_class = ContentPolicySerializer
    http_method_names = ("get", "post", "patch", "delete")


class Routes(ManagementView, ModelViewSet):
    """Names of one's own, with those who answer for them."""

    queryset = Route.objects.prefetch_related(
        "targets__model", "targets__users", "targets__groups", "fallbacks__model"
    ).order_by("name")
    serializer_class = RouteSerializer
    http_method_names = ("get", "post", "patch", "delete")

    @extend_schema(request=Question, responses=ExplanationSerializer)
    @action(detail=False, methods=["post"])
    def explain(self, request: Request) -> Response:
        """Say which model and which replica a request with this name would go to, and why. Nothing is sent."""
        question = asked(Question, request)
        caller = question.pop("user", None) or cast(User, request.user)
        try:
            found = async_to_sync(explain)(**question, user_id=caller.pk)
        except ModelNotFound as error:
            raise ActRefused(str(error)) from error
        return Response(ExplanationSerializer(found).data)
