"""Doors for programs that manage the fleet: each calls the act that admin and the command line call."""

from functools import cached_property
from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import maintenance, membership, scaling, undoing
from fleet.api.management import serializers
from fleet.api.management.access import ManagementView, asked, delete
from fleet.enrolment import Terms, issue_join_token
from fleet.models import Deployment, JoinToken, LanguageModel, Replica, Rollout, Transition, Worker
from fleet.overview import DeploymentView, read_overview
from fleet.reconciler import reconcile

_DETAIL_OF_MODEL = OpenApiParameter("model", str, description="Only those of this model, by its name.")


class Workers(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.UpdateModelMixin, ManagementView):
    """Machines that have joined. They come by joining, with a join token."""

    queryset = Worker.objects.without_secrets().order_by("name", "enrolled_at")
    serializer_class = serializers.WorkerSerializer
    http_method_names = ("get", "patch", "post", "delete")

    def perform_update(self, serializer: Any) -> None:
        serializer.save()
        reconcile()

    @extend_schema(responses=serializers.TransitionSerializer(many=True))
    @action(detail=True)
    def timeline(self, request: Request, pk: str) -> Response:
        """Changes of state, the latest first."""
        rows = Transition.objects.filter(worker=self.get_object())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(serializers.TransitionSerializer(page, many=True).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cordon(self, request: Request, pk: str) -> Response:
        """Give it no new replicas; those it has stay."""
        maintenance.cordon(self._worker())
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def uncordon(self, request: Request, pk: str) -> Response:
        """Back to service, whatever was decided before."""
        maintenance.uncordon(self._worker())
        return self._as_it_is()

    @extend_schema(request=serializers.Drain)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Move everything off it."""
        maintenance.drain(self._worker(), **asked(serializers.Drain, request))
        return self._as_it_is()

    @extend_schema(request=serializers.Maintain)
    @action(detail=True, methods=["post"])
    def maintain(self, request: Request, pk: str) -> Response:
        """Drain it, and show everywhere why."""
        maintenance.maintain(self._worker(), **asked(serializers.Maintain, request))
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let a worker that joined by a token that needs it run models."""
        membership.approve(self._worker())
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def rotate_credential(self, request: Request, pk: str) -> Response:
        """Give it another credential with its next heartbeat."""
        membership.rotate_credential(self._worker())
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Shut it out for good."""
        membership.revoke(self._worker())
        return self._as_it_is()

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it, once it runs nothing; what it served stays in the usage."""
        maintenance.remove(self._worker())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _worker(self) -> Worker:
        return self.get_object()

    def _as_it_is(self) -> Response:
        return Response(serializers.WorkerSerializer(self.get_object()).data)


class Models(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ManagementView,
):
    """Models as callers know them. Deleting one deletes its deployments."""

    queryset = LanguageModel.objects.order_by("name")
    serializer_class = serializers.LanguageModelSerializer

    def perform_destroy(self, instance: Any) -> None:
        delete(instance, "Routes lead to this model. Take it out of them first.")
        reconcile()


@extend_schema(parameters=[_DETAIL_OF_MODEL])
class Deployments(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ManagementView,
):
    """What should run, and beside it what does."""

    queryset = Deployment.objects.select_related("model").prefetch_related("pinned_to").order_by("pk")
    serializer_class = serializers.DeploymentSerializer

    def get_queryset(self) -> QuerySet[Any]:
        return only_of_model(super().get_queryset(), "model__name", self.request)

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "observed": self._observed}

    def perform_create(self, serializer: Any) -> None:
        serializer.save()
        self._reconcile()

    def perform_update(self, serializer: Any) -> None:
        serializer.save()
        self._reconcile()

    def perform_destroy(self, instance: Any) -> None:
        instance.delete()
        reconcile()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Run it again, with as many replicas as before it was stopped."""
        scaling.start(self._deployment())
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Run it nowhere; the number of replicas is kept."""
        scaling.stop(self._deployment())
        return self._as_it_is()

    @extend_schema(request=serializers.Scale)
    @action(detail=True, methods=["post"])
    def scale(self, request: Request, pk: str) -> Response:
        """Run so many replicas; start it if it was stopped."""
        scaling.scale(self._deployment(), **asked(serializers.Scale, request))
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, pk: str) -> Response:
        """Have others take its replicas' places, one after the other."""
        scaling.restart(Replica.objects.filter(deployment=self._deployment()))
        return self._as_it_is()

    @extend_schema(responses=serializers.RolloutSerializer(many=True))
    @action(detail=True)
    def rollouts(self, request: Request, pk: str) -> Response:
        """Its versions, the latest first, and what became of each."""
        rows = Rollout.objects.filter(deployment=self._deployment()).select_related("started_by").order_by("-revision")
        return self.get_paginated_response(serializers.RolloutSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def roll_back(self, request: Request, pk: str) -> Response:
        """Go back to the version before, without a lost request."""
        undoing.undo(self._deployment(), _person(request))
        return self._as_it_is()

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def try_again(self, request: Request, pk: str) -> Response:
        """Roll out once more what was rolled back last."""
        undoing.retry(self._deployment(), _person(request))
        return self._as_it_is()

    @cached_property
    def _observed(self) -> dict[int, DeploymentView]:
        return {view.deployment_id: view for view in read_overview().deployments}

    def _reconcile(self) -> None:
        reconcile()
        vars(self).pop("_observed", None)

    def _deployment(self) -> Deployment:
        return self.get_object()

    def _as_it_is(self) -> Response:
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(parameters=[_DETAIL_OF_MODEL])
class Replicas(mixins.ListModelMixin, mixins.RetrieveModelMixin, ManagementView):
    """What runs, each as its worker last told."""

    queryset = Replica.objects.select_related("deployment__model", "worker").order_by("created_at", "pk")
    serializer_class = serializers.ReplicaSerializer

    def get_queryset(self) -> QuerySet[Any]:
        return only_of_model(super().get_queryset(), "deployment__model__name", self.request)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, pk: str) -> Response:
        """Have another take its place."""
        scaling.restart(Replica.objects.filter(pk=self.get_object().pk))
        return Response(self.get_serializer(self.get_object()).data)


class JoinTokens(mixins.ListModelMixin, mixins.RetrieveModelMixin, ManagementView):
    """What lets machines join. The token itself is shown once, in the answer to POST."""

    queryset = JoinToken.objects.order_by("-created_at", "-pk")
    serializer_class = serializers.JoinTokenSerializer

    @extend_schema(request=serializers.NewJoinToken, responses={201: serializers.IssuedJoinToken})
    def create(self, request: Request) -> Response:
        """Issue one."""
        wanted = asked(serializers.NewJoinToken, request)
        row, text = issue_join_token(
            wanted.pop("name"),
            lifetime=wanted.pop("valid_for"),
            max_uses=wanted.pop("max_uses"),
            created_by=_person(request),
            terms=Terms(**wanted),
        )
        shown = serializers.JoinTokenSerializer(row).data | {"token": text}
        return Response(shown, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Let nobody join with it any more; whoever has joined stays."""
        self.get_object().revoke()
        return Response(self.get_serializer(self.get_object()).data)


def only_of_model(rows: QuerySet[Any], column: str, request: Request) -> QuerySet[Any]:
    name = request.query_params.get("model")
    return rows.filter(**{column: name}) if name else rows


def _person(request: Request) -> AbstractBaseUser:
    """MayAsInAdmin lets nobody else in."""
    return cast(AbstractBaseUser, request.user)
