"""Doors for programs that govern keys and teams: each calls the act that admin calls."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from accounts.models import Team, TeamRole, User
from audit.models import Door
from audit.recording import actor_of, record
from audit.states import state_of
from fleet.api.management.access import ManagementView, asked, delete
from fleet.errors import ActRefused
from gateway.api.management.key_serializers import (
    CallAsked,
    IssuedKeySerializer,
    JudgementSerializer,
    KeySerializer,
    Leaving,
    Membership,
    Rotation,
    TeamSerializer,
)
from gateway.issuing import disable_key, enable_key, end_rotation, may_have_secret, revoke_key, rotate_key
from gateway.keyring import read_entry
from gateway.models import APIKey
from gateway.runtime import NotStarted
from gateway.verdicts import Asked, judge, refusal

_FILTERS = [
    OpenApiParameter("owner", str, description="Only those of this user, by name."),
    OpenApiParameter("team", str, description="Only those that name this team."),
]


class Keys(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    ManagementView,
):
    """Programs' credentials. They are revoked, not deleted, as usage refers to them."""

    queryset = APIKey.objects.select_related("owner", "team").order_by("pk")
    serializer_class = KeySerializer
    http_method_names = ("get", "post", "patch")

    def get_queryset(self) -> QuerySet[APIKey]:
        wanted = {"owner__username": "owner", "team__name": "team"}
        given = {field: self.request.query_params.get(name) for field, name in wanted.items()}
        return super().get_queryset().filter(**{field: value for field, value in given.items() if value})

    def get_serializer_class(self) -> type[KeySerializer]:
        return IssuedKeySerializer if self.action in ("create", "rotate") else KeySerializer

    @extend_schema(parameters=_FILTERS)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=Rotation, responses=IssuedKeySerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Another secret, in this answer and never again."""
        key, grace = self.get_object(), timedelta(hours=asked(Rotation, request)["grace_hours"])
        if not may_have_secret(cast(User, request.user), key.owner, key.scopes):
            raise PermissionDenied("Only a superuser may have the secret of another person's key for the fleet.")
        secret = rotate_key(key, grace)
        if secret is None:
            raise ActRefused("The key was revoked, or rotated by somebody else a moment ago.")
        key = APIKey.objects.select_related("owner", "team").get(pk=key.pk)
        return Response(self.get_serializer(key).data | {"secret": secret})

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def end_rotation(self, request: Request, pk: str) -> Response:
        """Let the previous secret open nothing any more."""
        return self._done(end_rotation)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """Refuse it until it is enabled again."""
        return self._done(disable_key)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str) -> Response:
        """Serve it again."""
        return self._done(enable_key)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Refuse it for good."""
        return self._done(revoke_key)

    @extend_schema(request=CallAsked, responses=JudgementSerializer)
    @action(detail=True, methods=["post"])
    def explain(self, request: Request, pk: str) -> Response:
        """Say why the key can, or cannot, call a model, condition by condition. Nothing is sent."""
        key, question = self.get_object(), Asked(**asked(CallAsked, request))
        try:
            verdicts = async_to_sync(judge)(read_entry(key), key.key_hash, question)
        except NotStarted as error:
            raise ActRefused("The gateway does not run in this process yet. Ask again in a moment.") from error
        found = {"can_call": refusal(verdicts) is None, "verdicts": verdicts}
        return Response(JudgementSerializer(found).data)

    def _done(self, act: Callable[[APIKey], object]) -> Response:
        key = self.get_object()
        act(key)
        key.refresh_from_db()
        return Response(self.get_serializer(key).data)


class Teams(ManagementView, ModelViewSet):
    """People who share limits and a claim on the models."""

    queryset = Team.objects.prefetch_related("members").order_by("name")
    serializer_class = TeamSerializer
    http_method_names = ("get", "post", "patch", "delete")

    def perform_destroy(self, instance: Any) -> None:
        delete(instance, "Keys belong to this team: give them another, or revoke them and take the team off them.")

    @extend_schema(request=Membership, responses=TeamSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str) -> Response:
        """Make a user its member or manager, and of no other team."""
        team, given = self._with_its_people(request), asked(Membership, request)
        self._move(request, given["user"], team=team, team_role=given["role"])
        return self._as_it_is(team)

    @extend_schema(request=Leaving, responses=TeamSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str) -> Response:
        """Let a user be in no team."""
        team, given = self._with_its_people(request), asked(Leaving, request)
        if given["user"].team_id == team.pk:
            self._move(request, given["user"], team=None, team_role=TeamRole.MEMBER)
        return self._as_it_is(team)

    def _move(self, request: Request, user: User, **fields: Any) -> None:
        before = state_of(user)
        User.objects.filter(pk=user.pk).update(**fields)
        user.refresh_from_db()
        record(actor_of(request, Door.API), str(self.action), user, before=before, after=state_of(user))

    def _with_its_people(self, request: Request) -> Team:
        """Raises PermissionDenied: the rows that change are the users'."""
        if not cast(User, request.user).has_perm("accounts.change_user"):
            raise PermissionDenied("This takes the permission to change users.")
        team: Team = self.get_object()
        return team

    def _as_it_is(self, team: Team) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=team.pk)).data)
