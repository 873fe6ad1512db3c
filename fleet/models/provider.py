"""Who runs models for us elsewhere (Provider), and which of theirs stand for which of ours (ProviderModel)."""

import uuid
from typing import ClassVar

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.encryption import EncryptedTextField
from fleet.models.language_model import LanguageModel


class ProviderKind(models.TextChoices):
    """Whose API it is. What that means stands in fleet/provider_presets.py."""

    OPENAI = "openai", "OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"
    AZURE = "azure", "Azure OpenAI"
    DASHSCOPE = "dashscope", _("DashScope (Qwen)")
    DEEPSEEK = "deepseek", "DeepSeek"
    GEMINI = "gemini", "Gemini"
    MISTRAL = "mistral", "Mistral"
    OPENROUTER = "openrouter", "OpenRouter"
    FLOTILLA = "flotilla", _("another Flotilla")
    OTHER = "other", _("any other with OpenAI's API")


class ProviderFailure(models.TextChoices):
    """What the server met when it last asked a provider for its models."""

    UNREACHABLE = "unreachable", _("no connection comes about")
    REFUSED = "refused", _("it refuses the credential")
    FAILED = "failed", _("it answers with an error")


class Provider(models.Model):
    """A member of the fleet without a daemon: nobody reports for it, so it is asked now and then."""

    name = models.CharField(_("name"), max_length=100, unique=True, help_text=_("As people here call it."))
    kind = models.CharField(_("kind"), max_length=16, choices=ProviderKind, default=ProviderKind.OPENAI)
    base_url = models.CharField(
        _("base URL"), max_length=300, blank=True, help_text=_("Up to and with the version, such as /v1.")
    )
    credential = EncryptedTextField(_("API key"), default="", editable=False)
    headers = models.JSONField(
        _("extra headers"),
        default=dict,
        blank=True,
        help_text=_("As a JSON object. They are shown here: secrets do not belong into them."),
    )
    api_version = models.CharField(
        _("API version"),
        max_length=40,
        blank=True,
        validators=[RegexValidator(r"^[\w.-]*$", _("Letters, digits, - and . only."))],
        help_text=_("Where the provider asks for one: “api-version” for Azure, “anthropic-version” for Anthropic."),
    )
    ca_certificate = models.TextField(
        _("CA certificate"), blank=True, help_text=_("In PEM, where the provider's is not a public one.")
    )
    max_requests_per_minute = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_tokens_per_minute = models.PositiveIntegerField(
        _("tokens a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    is_enabled = models.BooleanField(_("enabled"), default=True)
    probed_at = models.DateTimeField(_("asked"), null=True, editable=False)
    probe_failure = models.CharField(max_length=16, choices=ProviderFailure, blank=True, editable=False)
    """Of the last probe; empty when the models were listed."""
    probe_detail = models.CharField(max_length=300, blank=True, editable=False)
    """In the provider's own words."""
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def set_credential(self, credential: str) -> None:
        """Replace it; with nothing, forget it."""
        Provider.objects.filter(pk=self.pk).update(
            credential=credential, probe_failure="", probe_detail="", changed_at=now()
        )


class ProviderModelQuerySet(models.QuerySet["ProviderModel"]):
    def enabled(self) -> "ProviderModelQuerySet":
        """Those that get requests."""
        return self.filter(is_enabled=True, provider__is_enabled=True)


def default_capabilities() -> list[str]:
    return ["chat", "tools"]


class ProviderModel(models.Model):
    """A provider's model that answers for one of ours, beside whatever replicas that has on workers.

    Prices are for a million tokens, in the currency of the bill.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="models", verbose_name=_("provider"))
    model = models.ForeignKey(
        LanguageModel,
        models.CASCADE,
        related_name="provider_models",
        verbose_name=_("model"),
        help_text=_("The name callers use."),
    )
    upstream_name = models.CharField(
        _("name there"), max_length=200, help_text=_("What the provider calls it, such as gpt-4o-mini.")
    )
    capabilities = models.JSONField(_("capabilities"), default=default_capabilities)
    context_length = models.PositiveIntegerField(_("context length"), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(
        _("longest answer"),
        default=4096,
        validators=[MinValueValidator(1)],
        help_text=_("In tokens, where the caller sets no limit. Only Anthropic's API must be told."),
    )
    max_concurrency = models.PositiveSmallIntegerField(
        _("requests at a time"), default=64, validators=[MinValueValidator(1)]
    )
    input_price = models.DecimalField(_("price of input"), max_digits=12, decimal_places=6, null=True, blank=True)
    cached_input_price = models.DecimalField(
        _("price of cached input"), max_digits=12, decimal_places=6, null=True, blank=True
    )
    output_price = models.DecimalField(_("price of output"), max_digits=12, decimal_places=6, null=True, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = ProviderModelQuerySet.as_manager()

    class Meta:
        verbose_name = _("provider's model")
        verbose_name_plural = _("provider's models")
        ordering: ClassVar = ["model__name", "created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "model", "upstream_name"], name="one_offer_for_each_model_of_a_provider"
            ),
            models.CheckConstraint(
                condition=~Q(input_price__lt=0) & ~Q(cached_input_price__lt=0) & ~Q(output_price__lt=0),
                name="prices_are_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.upstream_name} @ {self.provider}"
