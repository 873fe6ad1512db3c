"""The fleet's rows as JSON. Names are the records' own."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from fleet.addresses import parse_networks
from fleet.api.management.access import checked
from fleet.errors import LabelsMalformed, NetworksMalformed
from fleet.labels import format_labels, parse_labels
from fleet.models import Deployment, JoinToken, LanguageModel, Replica, Rollout, Transition, Worker
from fleet.scaling import MAX_REPLICAS


def labels(value: Any) -> None:
    """Raises ValidationError for what is no mapping of labels."""
    try:
        if not isinstance(value, dict) or parse_labels(format_labels(value)) != value:
            raise LabelsMalformed(str(value))
    except (LabelsMalformed, TypeError) as error:
        raise serializers.ValidationError(_('Labels are an object of texts: {"gpu": "h100"}.')) from error


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    """`state` is computed from heartbeats and calls; see the record."""

    state = serializers.CharField(read_only=True)
    labels = serializers.JSONField(required=False, validators=[labels])

    class Meta:
        model = Worker
        fields = (
            "id",
            "name",
            "state",
            "address",
            "labels",
            "awaits_approval",
            "cordoned",
            "drain_requested_at",
            "maintenance_remark",
            "software_version",
            "hardware",
            "last_heartbeat_at",
            "enrolled_at",
            "revoked_at",
        )
        read_only_fields: ClassVar = [name for name in fields if name not in ("name", "labels")]


class TransitionSerializer(serializers.ModelSerializer[Transition]):
    class Meta:
        model = Transition
        fields = ("at", "replica_id", "model", "before", "after", "cause", "detail")


class LanguageModelSerializer(serializers.ModelSerializer[LanguageModel]):
    class Meta:
        model = LanguageModel
        fields = (
            "id",
            "name",
            "description",
            "balancing_policy",
            "only_by_route",
            "max_concurrency",
            "max_queue_length",
            "max_queue_wait_s",
            "created_at",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        checked(LanguageModel(**{**_kept(self.instance), **attrs}))
        return attrs


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """`model` is a model's name. Under `observed`: what runs now, and why not more."""

    model = serializers.SlugRelatedField(slug_field="name", queryset=LanguageModel.objects.all())
    selector = serializers.JSONField(required=False, validators=[labels])
    pinned_to = serializers.PrimaryKeyRelatedField(
        many=True, required=False, queryset=Worker.objects.filter(revoked_at=None)
    )
    num_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    observed = serializers.SerializerMethodField()

    class Meta:
        model = Deployment
        fields = (
            "id",
            "model",
            "engine",
            "source",
            "dtype",
            "device",
            "quantization",
            "engine_options",
            "adapters",
            "num_replicas",
            "max_concurrency",
            "speed",
            "is_stopped",
            "memory_gb",
            "idle_unload_minutes",
            "selector",
            "pinned_to",
            "observed",
            "created_at",
        )
        read_only_fields = ("is_stopped",)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in attrs.items() if name != "pinned_to"}
        checked(Deployment(**{**_kept(self.instance), **fields}))
        return attrs

    def get_observed(self, deployment: Deployment) -> dict[str, Any]:
        """`phase`, `num_ready`, and `refusals`: each worker that cannot take a replica without a place, and why."""
        view = self.context["observed"].get(deployment.pk)
        if view is None:
            return {}
        refusals = [{"worker": worker, "reason": reason} for worker, reason in view.refusals]
        return {"phase": str(view.phase), "num_ready": view.num_ready, "refusals": refusals}


class ReplicaSerializer(serializers.ModelSerializer[Replica]):
    model = serializers.CharField(source="deployment.model.name", read_only=True)
    worker_name = serializers.CharField(source="worker.name", read_only=True)

    class Meta:
        model = Replica
        fields = (
            "id",
            "model",
            "deployment",
            "worker",
            "worker_name",
            "slot",
            "phase",
            "progress",
            "downloaded_bytes",
            "download_bytes",
            "error",
            "num_running",
            "num_waiting",
            "num_restarts",
            "memory_bytes",
            "context_length",
            "capabilities",
            "observed_at",
            "retired_at",
            "created_at",
        )


class JoinTokenSerializer(serializers.ModelSerializer[JoinToken]):
    class Meta:
        model = JoinToken
        fields: tuple[str, ...] = (
            "id",
            "name",
            "hint",
            "expires_at",
            "max_uses",
            "num_uses",
            "networks",
            "labels",
            "needs_approval",
            "created_at",
            "revoked_at",
        )


class NewJoinToken(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    valid_for = serializers.DurationField(min_value=timedelta(minutes=1), max_value=timedelta(days=366))
    max_uses = serializers.IntegerField(min_value=1, allow_null=True, default=1)
    networks = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=50, default=list, help_text=_("Empty: from anywhere.")
    )
    labels = serializers.JSONField(default=dict, validators=[labels], help_text=_("What the worker gets."))
    needs_approval = serializers.BooleanField(default=False)

    def validate_networks(self, value: list[str]) -> list[str]:
        try:
            return parse_networks(" ".join(value))
        except NetworksMalformed as error:
            raise serializers.ValidationError(str(error)) from error


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    started_by = serializers.CharField(source="started_by.username", read_only=True, default="")

    class Meta:
        model = Rollout
        fields = (
            "revision", "phase", "cause", "detail", "spec", "previous_spec", "started_by", "started_at", "ended_at",
        )  # fmt: skip


class IssuedJoinToken(JoinTokenSerializer):
    """`token` is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta(JoinTokenSerializer.Meta):
        fields = (*JoinTokenSerializer.Meta.fields, "token")


class Scale(serializers.Serializer[Any]):
    num_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS)


class Drain(serializers.Serializer[Any]):
    may_stop = serializers.BooleanField(
        default=False, help_text=_("Also where something runs there that has no other place: it stops.")
    )


class Maintain(Drain):
    remark = serializers.CharField(max_length=200)


def _kept(instance: Any) -> dict[str, Any]:
    if not isinstance(instance, Model):
        return {}
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}
