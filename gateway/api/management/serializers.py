"""Routes as JSON, and the explanation of a name."""

from copy import copy
from typing import Any

from django.contrib.auth.models import Group
from rest_framework import serializers

from accounts.models import Team, User
from fleet.api.management.access import as_validation_error, checked
from fleet.models import LanguageModel
from gateway.models import ContentPolicy, FailureClass, Route, RouteFallback, RouteTarget
from gateway.route_editing import save_route


class TargetSerializer(serializers.ModelSerializer[RouteTarget]):
    """Nobody in `users` and no group: for everybody."""

    model = serializers.SlugRelatedField(slug_field="name", queryset=LanguageModel.objects.all())
    users = serializers.SlugRelatedField(slug_field="username", many=True, required=False, queryset=User.objects.all())
    groups = serializers.SlugRelatedField(slug_field="name", many=True, required=False, queryset=Group.objects.all())

    class Meta:
        model = RouteTarget
        fields = ("model", "weight", "users", "groups")


class FallbackSerializer(serializers.ModelSerializer[RouteFallback]):
    """Asked after the one before it failed in one of these ways."""

    model = serializers.SlugRelatedField(slug_field="name", queryset=LanguageModel.objects.all())
    after = serializers.ListField(child=serializers.ChoiceField(FailureClass.choices), allow_empty=False)

    class Meta:
        model = RouteFallback
        fields = ("model", "after")


class RouteSerializer(serializers.ModelSerializer[Route]):
    """`targets` share the requests by weight; `fallbacks` are asked in this order. Each is given whole."""

    targets = TargetSerializer(many=True)
    fallbacks = FallbackSerializer(many=True, required=False)

    class Meta:
        model = Route
        fields = ("id", "name", "description", "targets", "fallbacks", "created_at")

    def create(self, validated_data: dict[str, Any]) -> Route:
        return self.update(Route(), validated_data)

    def update(self, instance: Route, validated_data: dict[str, Any]) -> Route:
        lists = {name: validated_data.pop(name, None) for name in ("targets", "fallbacks")}
        for name, value in validated_data.items():
            setattr(instance, name, value)
        with as_validation_error():
            save_route(instance, **lists)
        return Route.objects.get(pk=instance.pk)


class ContentPolicySerializer(serializers.ModelSerializer[ContentPolicy]):
    """`words` and `patterns`: one a line. No models: for all; no teams: for everybody."""

    classifier = serializers.SlugRelatedField(
        slug_field="name", required=False, allow_null=True, queryset=LanguageModel.objects.all()
    )
    for_models = serializers.SlugRelatedField(
        slug_field="name", many=True, required=False, queryset=LanguageModel.objects.all()
    )
    for_teams = serializers.SlugRelatedField(slug_field="name", many=True, required=False, queryset=Team.objects.all())

    class Meta:
        model = ContentPolicy
        fields = (
            *("id", "name", "on_input", "on_output", "words", "patterns", "classifier", "threshold"),
            *("for_models", "for_teams", "hold_back", "keeps_text"),
        )

    def save(self, **kwargs: Any) -> ContentPolicy:
        policy = super().save(**kwargs)
        policy.keep_for_whom()
        return policy

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = copy(self.instance) if self.instance else ContentPolicy()
        for name in attrs.keys() - {"for_models", "for_teams"}:
            setattr(row, name, attrs[name])
        checked(row)
        return attrs


class Question(serializers.Serializer[Any]):
    """What a request would say, and whose it would be; without a user, the key's owner's."""

    name = serializers.CharField(max_length=100)
    user = serializers.SlugRelatedField(slug_field="username", required=False, queryset=User.objects.all())
    session = serializers.CharField(max_length=200, default="")
    beginning = serializers.CharField(max_length=4000, default="", help_text="Of the conversation.")


class ShareSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    weight = serializers.IntegerField()


class CandidateSerializer(serializers.Serializer[Any]):
    """`left_out` says why it would not be asked."""

    replica = serializers.CharField(source="replica.replica_id")
    worker = serializers.CharField(source="replica.worker_name")
    load = serializers.FloatField()
    num_ours = serializers.IntegerField()
    speed = serializers.FloatField(allow_null=True)
    left_out = serializers.CharField(allow_null=True)
    is_chosen = serializers.BooleanField()


class LegSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    after = serializers.ListField(child=serializers.CharField())
    policy = serializers.CharField(allow_null=True)
    candidates = CandidateSerializer(many=True)


class ExplanationSerializer(serializers.Serializer[Any]):
    """What would happen to a request, as the web process that answers sees it at this moment."""

    name = serializers.CharField()
    is_route = serializers.BooleanField()
    shares = ShareSerializer(many=True)
    legs = LegSerializer(many=True)
