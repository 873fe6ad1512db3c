"""Providers and what they offer as JSON. A key goes in and never comes out."""

from typing import Any

from rest_framework import serializers

from fleet.api.management.access import as_validation_error
from fleet.models import Provider, ProviderModel
from fleet.provider_forms import CAPABILITIES
from fleet.providing import save_offer, save_provider


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    """`api_key` replaces its key, `forget_key` deletes it. `probe_failure` is empty when it was well last time."""

    api_key = serializers.CharField(write_only=True, required=False, allow_blank=True, max_length=4000)
    forget_key = serializers.BooleanField(write_only=True, required=False)
    has_key = serializers.SerializerMethodField()

    class Meta:
        model = Provider
        fields = (
            "id", "name", "kind", "base_url", "api_key", "forget_key", "has_key", "is_enabled",
            "max_requests_per_minute", "max_tokens_per_minute", "headers", "api_version", "ca_certificate",
            "probed_at", "probe_failure", "probe_detail", "created_at",
        )  # fmt: skip
        read_only_fields = ("probed_at", "probe_failure", "probe_detail")

    def get_has_key(self, provider: Provider) -> bool:
        return bool(provider.credential)

    def create(self, validated_data: dict[str, Any]) -> Provider:
        with as_validation_error():
            return save_provider(Provider(), validated_data)

    def update(self, instance: Provider, validated_data: dict[str, Any]) -> Provider:
        with as_validation_error():
            return save_provider(instance, validated_data)


class OfferSerializer(serializers.ModelSerializer[ProviderModel]):
    """`model` is the name that callers use, `upstream_name` the provider's. Prices are for a million tokens."""

    model = serializers.CharField(source="model.name", max_length=100)
    capabilities = serializers.ListField(child=serializers.ChoiceField(CAPABILITIES), required=False)

    class Meta:
        model = ProviderModel
        fields = (
            "id", "provider", "model", "upstream_name", "capabilities", "is_enabled", "max_concurrency",
            "context_length", "max_output_tokens", "input_price", "cached_input_price", "output_price", "created_at",
        )  # fmt: skip
        validators: tuple[Any, ...] = ()

    def create(self, validated_data: dict[str, Any]) -> ProviderModel:
        offer = ProviderModel(provider=validated_data.pop("provider"))
        with as_validation_error():
            return save_offer(offer, _plain(validated_data))

    def update(self, instance: ProviderModel, validated_data: dict[str, Any]) -> ProviderModel:
        validated_data.pop("provider", None)
        with as_validation_error():
            return save_offer(instance, _plain(validated_data))


class Asked(serializers.Serializer[Any]):
    """What a provider answered."""

    elapsed_ms = serializers.IntegerField()
    names = serializers.ListField(child=serializers.CharField(), help_text="Its models, as it calls them.")


class Names(serializers.Serializer[Any]):
    names = serializers.ListField(child=serializers.CharField(max_length=200), min_length=1, max_length=1000)


def _plain(validated: dict[str, Any]) -> dict[str, Any]:
    model = validated.pop("model", None)
    return validated | ({"model": model["name"]} if model else {})
