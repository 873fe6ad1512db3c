"""Keys and teams as JSON. A key's text is in one answer, and never again."""

from typing import Any

from rest_framework import serializers

from accounts.limits import LIMITS
from accounts.models import Team, TeamRole, User
from gateway.issuing import issue_key, may_have_secret
from gateway.models import APIKey, KeyScope

_TERMS = ("scopes", "allowed_models", "networks", "expires_at", *LIMITS)


class KeySerializer(serializers.ModelSerializer[APIKey]):
    """`state` is computed: usable, expired, disabled, revoked."""

    owner = serializers.SlugRelatedField(slug_field="username", queryset=User.objects.all())
    team = serializers.SlugRelatedField(
        slug_field="name", queryset=Team.objects.all(), required=False, allow_null=True, help_text="Empty: its owner's."
    )
    scopes = serializers.ListField(child=serializers.ChoiceField(KeyScope.choices), required=False, allow_empty=False)
    state = serializers.CharField(read_only=True)

    class Meta:
        model = APIKey
        fields: tuple[str, ...] = (
            "id", "name", "owner", "team", "hint", "state", *_TERMS, "created_at", "last_used_at", "last_used_from",
            "previous_expires_at", "previous_used_at",
        )  # fmt: skip
        read_only_fields = (
            "hint", "created_at", "last_used_at", "last_used_from", "previous_expires_at", "previous_used_at",
        )  # fmt: skip

    def validate_owner(self, owner: User) -> User:
        if self.instance is not None and owner != self.instance.owner:
            raise serializers.ValidationError("A key keeps its owner: its usage is theirs. Issue another one.")
        return owner

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Of what the record itself knows to be wrong, the model's validators say so by field."""
        owner = attrs.get("owner") or (self.instance.owner if self.instance else None)
        scopes = attrs.get("scopes", self.instance.scopes if self.instance else [])
        actor: Any = self.context["request"].user
        if owner and not may_have_secret(actor, owner, scopes):
            message = "Only a superuser may issue or change a key that manages the fleet in another person's name."
            raise serializers.ValidationError({"scopes": [message]})
        return attrs

    def create(self, validated_data: dict[str, Any]) -> APIKey:
        key, text = issue_key(**validated_data)
        # For this one answer, on this object only: it is written nowhere.
        vars(key)["secret"] = text
        return key

    def update(self, instance: APIKey, validated_data: dict[str, Any]) -> APIKey:
        """Only what was given: the secrets may have been rotated, and uses written, in the meantime."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


class IssuedKeySerializer(KeySerializer):
    secret = serializers.CharField(read_only=True, help_text="The key itself, this once.")

    class Meta(KeySerializer.Meta):
        fields = (*KeySerializer.Meta.fields, "secret")


class Rotation(serializers.Serializer[Any]):
    grace_hours = serializers.FloatField(
        default=24,
        min_value=0,
        max_value=24 * 90,
        help_text="So long the secret until now stays good beside the new one.",
    )


class CallAsked(serializers.Serializer[Any]):
    """The call that a key is to be judged for."""

    model = serializers.CharField(max_length=100)
    address = serializers.IPAddressField(default="", help_text="From where. Empty: left open.")
    max_tokens = serializers.IntegerField(default=1, min_value=1, max_value=10**9, help_text="Of the answer.")


class VerdictSerializer(serializers.Serializer[Any]):
    """`of`: whose limits, or which model's replicas. What the caller is told is empty where the condition is met."""

    condition = serializers.CharField()
    outcome = serializers.CharField(help_text="met, refused, waits, or unasked.")
    of = serializers.CharField()
    status = serializers.IntegerField(source="error.status", default=None)
    code = serializers.CharField(source="error.code", default=None)
    message = serializers.CharField(source="error.message", default=None)


class JudgementSerializer(serializers.Serializer[Any]):
    can_call = serializers.BooleanField()
    verdicts = VerdictSerializer(many=True)


class TeamSerializer(serializers.ModelSerializer[Team]):
    """`members` are changed with its acts."""

    members = serializers.SerializerMethodField()

    class Meta:
        model = Team
        fields = ("id", "name", "weight", *LIMITS, "members")

    def get_members(self, team: Team) -> dict[str, str]:
        """Name → role."""
        return {member.username: member.team_role for member in team.members.all()}


class Membership(serializers.Serializer[Any]):
    user = serializers.SlugRelatedField(slug_field="username", queryset=User.objects.all())
    role = serializers.ChoiceField(TeamRole.choices, default=TeamRole.MEMBER)


class Leaving(serializers.Serializer[Any]):
    user = serializers.SlugRelatedField(slug_field="username", queryset=User.objects.all())
